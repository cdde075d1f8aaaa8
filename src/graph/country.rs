//! Whose numbers are whose: the country of a recipient.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A country or territory, as ISO 3166 names it in two letters. Kosovo is `XK`, as it is at Meta and most others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// Not a country's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a country is two letters, as in US")]
pub struct MalformedCountry;

impl Country {
    /// Takes two letters of either case. Whether there is such a country is not asked.
    pub fn parse(text: &str) -> Result<Self, MalformedCountry> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(MalformedCountry),
        }
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Where a recipient is, as a send (`to`, `recipient`) or a status (`recipient_id`, `recipient_user_id`) names it: an
    /// international number, or a business-scoped user id, which begins with its country (`US.13491208655302741918`).
    /// `None`: a group, or what tells nothing.
    pub fn of_recipient(recipient: &str) -> Option<Self> {
        let recipient = recipient.trim();
        let id = recipient.split_once('.').and_then(|(country, id)| Some((Self::parse(country).ok()?, id)));
        match id {
            Some((country, id)) => (!id.is_empty()).then_some(country),
            None => Self::of_number(recipient),
        }
    }

    /// Whose an international number is, with or without `+` (which is a space in a form) or `00`, and whatever stands between its digits. Without one
    /// Meta may take it for a national number, but its own `wa_id`s have none, so it is read as international here.
    fn of_number(number: &str) -> Option<Self> {
        let mut length: usize = 0;
        // The numbers of one digit, two digits, three digits, … that it begins with.
        let mut beginnings = [0; LONGEST_CODE];
        let (mut beginning, mut zeros) = (0, 0);
        for letter in number.chars().filter(|letter| !separates(*letter)) {
            let digit = digit(letter)?;
            // No calling code begins with a zero.
            if digit == 0 && length == 0 {
                zeros += 1;
                continue;
            }
            if let Some(slot) = beginnings.get_mut(length) {
                beginning = beginning * 10 + digit;
                *slot = beginning;
            }
            length += 1;
        }
        // With one zero it is a national number. That Meta takes `00` is not documented: if it does, it means this country.
        if !DIGITS.contains(&length) || !matches!(zeros, 0 | 2) {
            return None;
        }
        let longest_first = beginnings.iter().rev();
        let mut rows =
            longest_first.filter_map(|code| NUMBERS.iter().find(|(_, codes)| codes.contains(code)));
        rows.next().and_then(|(country, _)| Self::parse(country).ok())
    }
}

/// Whether a letter only sets the digits of a number apart, or marks which way it is written.
fn separates(letter: char) -> bool {
    letter.is_whitespace()
        || "+-./()\u{feff}".contains(letter)
        // The same as East Asian keyboards have them; hyphens and dashes; what says the way of writing, and is copied unseen.
        || "\u{ff0b}\u{ff0d}\u{ff0e}\u{ff0f}\u{ff08}\u{ff09}\u{2212}".contains(letter)
        || ('\u{2010}'..='\u{2015}').contains(&letter)
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

/// A digit's value; East Asian keyboards have them in full width, too.
fn digit(letter: char) -> Option<u32> {
    match letter {
        '\u{ff10}'..='\u{ff19}' => Some(u32::from(letter) - 0xff10),
        _ => letter.to_digit(10),
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&Cow::<'de, str>::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// How many digits an international number may have (ITU-T E.164; the shortest in use have seven).
const DIGITS: RangeInclusive<usize> = 7..=15;

/// The most digits of a code in [`NUMBERS`].
const LONGEST_CODE: usize = 7;

/// What the numbers of a country begin with, calling code included; the longest beginning decides. The sources are ITU-T E.164,
/// and where countries share a calling code their national plans. Territories that mostly cannot be told apart (mobile
/// numbers of +212, +47, +61, +358, +590) count for the country whose code it is. Without a country: toll-free, personal
/// and non-geographic numbers.
///
/// A table of our own: the crates that know numbers parse a database at their first use and keep it for the whole process, and
/// one question is asked here.
#[rustfmt::skip]
const NUMBERS: &[(&str, &[u32])] = &[
    // +1: what is nobody else's is the United States'.
    ("US", &[1]),
    ("", &[
        1500, 1521, 1522, 1523, 1524, 1525, 1526, 1527, 1528, 1529, 1532, 1533, 1535, 1538, 1542, 1543, 1544, 1545, 1546, 1547,
        1549, 1550, 1552, 1553, 1554, 1556, 1566, 1569, 1577, 1578, 1588, 1589, 1600, 1622, 1700, 1710, 1800, 1822, 1833, 1844,
        1855, 1866, 1877, 1888, 1900,
    ]),
    ("CA", &[
        1204, 1226, 1236, 1249, 1250, 1257, 1263, 1289, 1306, 1343, 1354, 1365, 1367, 1368, 1382, 1403, 1416, 1418, 1428,
        1431, 1437, 1438, 1450, 1468, 1474, 1506, 1514, 1519, 1548, 1579, 1581, 1584, 1587, 1604, 1613, 1639,
        1647, 1672, 1683, 1705, 1709, 1742, 1753, 1778, 1780, 1782, 1807, 1819, 1825, 1867, 1873, 1879, 1902, 1905, 1942,
    ]),
    ("AG", &[1268]), ("AI", &[1264]), ("AS", &[1684]), ("BB", &[1246]), ("BM", &[1441]), ("BS", &[1242]), ("DM", &[1767]),
    ("DO", &[1809, 1829, 1849]), ("GD", &[1473]), ("GU", &[1671]), ("JM", &[1658, 1876]), ("KN", &[1869]), ("KY", &[1345]),
    ("LC", &[1758]), ("MP", &[1670]), ("MS", &[1664]), ("PR", &[1787, 1939]), ("SX", &[1721]), ("TC", &[1649]),
    ("TT", &[1868]), ("VC", &[1784]), ("VG", &[1284]), ("VI", &[1340]),
    // +2
    ("EG", &[20]), ("SS", &[211]), ("MA", &[212]), ("EH", &[2125288, 2125289]), ("DZ", &[213]), ("TN", &[216]), ("LY", &[218]),
    ("GM", &[220]), ("SN", &[221]), ("MR", &[222]), ("ML", &[223]), ("GN", &[224]), ("CI", &[225]), ("BF", &[226]),
    ("NE", &[227]), ("TG", &[228]), ("BJ", &[229]), ("MU", &[230]), ("LR", &[231]), ("SL", &[232]), ("GH", &[233]),
    ("NG", &[234]), ("TD", &[235]), ("CF", &[236]), ("CM", &[237]), ("CV", &[238]), ("ST", &[239]), ("GQ", &[240]),
    ("GA", &[241]), ("CG", &[242]), ("CD", &[243]), ("AO", &[244]), ("GW", &[245]), ("IO", &[246]), ("SH", &[247, 290]),
    ("SC", &[248]), ("SD", &[249]), ("RW", &[250]), ("ET", &[251]), ("SO", &[252]), ("DJ", &[253]), ("KE", &[254]),
    ("TZ", &[255]), ("UG", &[256]), ("BI", &[257]), ("MZ", &[258]), ("ZM", &[260]), ("MG", &[261]), ("RE", &[262]),
    ("YT", &[262269, 2622689, 262639, 2627093]), ("ZW", &[263]), ("NA", &[264]), ("MW", &[265]), ("LS", &[266]),
    ("BW", &[267]), ("SZ", &[268]), ("KM", &[269]), ("ZA", &[27]), ("ER", &[291]), ("AW", &[297]), ("FO", &[298]),
    ("GL", &[299]),
    // +3
    ("GR", &[30]), ("NL", &[31]), ("BE", &[32]), ("FR", &[33]), ("ES", &[34]), ("GI", &[350]), ("PT", &[351]), ("LU", &[352]),
    ("IE", &[353]), ("IS", &[354]), ("AL", &[355]), ("MT", &[356]), ("CY", &[357]), ("FI", &[358]), ("AX", &[35818]),
    ("BG", &[359]), ("HU", &[36]), ("LT", &[370]), ("LV", &[371]), ("EE", &[372]), ("MD", &[373]), ("AM", &[374]),
    ("BY", &[375]), ("AD", &[376]), ("MC", &[377]), ("SM", &[378]), ("VA", &[379, 3906698]), ("UA", &[380]), ("RS", &[381]),
    ("ME", &[382]), ("XK", &[383]), ("HR", &[385]), ("SI", &[386]), ("BA", &[387]), ("MK", &[389]), ("IT", &[39]),
    // +4
    ("RO", &[40]), ("CH", &[41]), ("CZ", &[420]), ("SK", &[421]), ("LI", &[423]), ("AT", &[43]), ("GB", &[44]),
    ("GG", &[441481, 447781, 447839, 4479111, 4479117]), ("IM", &[441624, 4474576, 447524, 447624, 447924]),
    ("JE", &[441534, 447509, 4477003, 4477007, 4477008, 447797, 447829, 447937]), ("DK", &[45]), ("SE", &[46]), ("NO", &[47]),
    ("SJ", &[4779]), ("PL", &[48]), ("DE", &[49]),
    // +5
    ("FK", &[500]), ("BZ", &[501]), ("GT", &[502]), ("SV", &[503]), ("HN", &[504]), ("NI", &[505]), ("CR", &[506]),
    ("PA", &[507]), ("PM", &[508]), ("HT", &[509]), ("PE", &[51]), ("MX", &[52]), ("CU", &[53]), ("AR", &[54]), ("BR", &[55]),
    ("CL", &[56]), ("CO", &[57]), ("VE", &[58]), ("GP", &[590]), ("BO", &[591]), ("GY", &[592]), ("EC", &[593]),
    ("GF", &[594]), ("PY", &[595]), ("MQ", &[596]), ("SR", &[597]), ("UY", &[598]), ("CW", &[5996, 5999]),
    ("BQ", &[5993, 5994, 5997]),
    // +6
    ("MY", &[60]), ("AU", &[61]), ("CC", &[6189162]), ("CX", &[6189164]), ("ID", &[62]), ("PH", &[63]), ("NZ", &[64]),
    ("SG", &[65]), ("TH", &[66]), ("TL", &[670]), ("NF", &[672]), ("BN", &[673]), ("NR", &[674]),
    ("PG", &[675]), ("TO", &[676]), ("SB", &[677]), ("VU", &[678]), ("FJ", &[679]), ("PW", &[680]), ("WF", &[681]),
    ("CK", &[682]), ("NU", &[683]), ("WS", &[685]), ("KI", &[686]), ("NC", &[687]), ("TV", &[688]), ("PF", &[689]),
    ("TK", &[690]), ("FM", &[691]), ("MH", &[692]),
    // +7
    ("RU", &[7]), ("KZ", &[76, 77]),
    // +8
    ("JP", &[81]), ("KR", &[82]), ("VN", &[84]), ("KP", &[850]), ("HK", &[852]), ("MO", &[853]), ("KH", &[855]), ("LA", &[856]),
    ("CN", &[86]), ("BD", &[880]), ("TW", &[886]),
    // +9
    ("TR", &[90]), ("IN", &[91]), ("PK", &[92]), ("AF", &[93]), ("LK", &[94]), ("MM", &[95]), ("MV", &[960]), ("LB", &[961]),
    ("JO", &[962]), ("SY", &[963]), ("IQ", &[964]), ("KW", &[965]), ("SA", &[966]), ("YE", &[967]), ("OM", &[968]),
    ("PS", &[970]), ("AE", &[971]), ("IL", &[972]), ("BH", &[973]), ("QA", &[974]), ("BT", &[975]), ("MN", &[976]),
    ("NP", &[977]), ("IR", &[98]), ("TJ", &[992]), ("TM", &[993]), ("AZ", &[994]), ("GE", &[995]), ("KG", &[996]),
    ("UZ", &[998]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[track_caller]
    fn check(expected: Option<&str>, recipients: &[&str]) {
        for recipient in recipients {
            let country = Country::of_recipient(recipient);
            assert_eq!(country.as_ref().map(Country::as_str), expected, "{recipient}");
        }
    }

    #[test]
    fn a_number_is_read_in_every_spelling() {
        check(
            Some("US"),
            &[
                "16505551234",
                "+16505551234",
                " +1 (650) 555-1234\n",
                "+1\u{a0}650\u{a0}555\u{a0}1234",
                "15550783881",
                "0016505551234",
                "+00 1 650 555 1234",
                "1.650.555.1234",
                "+1.650.555.1234",
                "1.6505551234",
                "+1/650/555\u{2011}12\u{2013}34",
                "\u{202a}+1 650 555 1234\u{202c}",
                "\u{ff0b}\u{ff11}6505551234",
                "\u{ff11}\u{ff16}\u{ff15}\u{ff10}\u{ff0d}\u{ff15}\u{ff15}\u{ff15}\u{ff0d}\u{ff11}\u{ff12}\u{ff13}\u{ff14}",
            ],
        );
        check(
            Some("DE"),
            &["00 49 151 23456789", "004915123456789", "49.151.23456789", "+49 (0)151 23456789"],
        );
    }

    #[test]
    fn countries_that_share_a_calling_code_are_told_apart() {
        check(Some("CA"), &["14165550123", "+1 604 555 0123"]);
        check(Some("DO"), &["18095550123", "18295550123", "18495550123"]);
        check(Some("JM"), &["18765550123", "16585550123"]);
        check(Some("PR"), &["17875550123", "19395550123"]);
        check(Some("RU"), &["79161234567", "74951234567"]);
        check(Some("KZ"), &["77011234567", "77271234567"]);
        check(Some("GB"), &["447900123456", "442071234567"]);
        check(Some("GG"), &["447781123456", "441481123456", "447911723456"]);
        check(Some("JE"), &["447797123456", "441534123456", "447700312345"]);
        check(Some("IM"), &["447624123456", "441624123456", "447457612345"]);
        check(Some("GB"), &["447700112345", "447457112345", "447911212345"]);
        check(Some("RE"), &["262692123456"]);
        check(Some("YT"), &["262639123456", "262269601234"]);
        check(Some("CW"), &["59995181234"]);
        check(Some("BQ"), &["5993181234", "5997181234"]);
        check(Some("MA"), &["212650123456"]);
        check(Some("GP"), &["590690001234"]);
        check(Some("IT"), &["393123456789", "390612345678"]);
        check(Some("VA"), &["390669812345"]);
    }

    #[test]
    fn the_rest_of_the_world() {
        for (number, country) in [
            ("5511987654321", "BR"),
            ("5215512345678", "MX"),
            ("919876543210", "IN"),
            ("6281234567890", "ID"),
            ("2348012345678", "NG"),
            ("4915123456789", "DE"),
            ("41791234567", "CH"),
            ("423661234567", "LI"),
            ("421912345678", "SK"),
            ("97430123456", "QA"),
            ("38344123456", "XK"),
            ("85251234567", "HK"),
            ("2473123456", "SH"),
        ] {
            check(Some(country), &[number]);
        }
    }

    #[test]
    fn what_tells_nothing_has_no_country() {
        check(
            None,
            &[
                "",
                "+",
                "1",
                "165055",
                "1650555123456789",
                "16505551234x",
                "016505551234",
                "00016505551234",
                "000016505551234",
                "00",
                "00.00.00.00",
                "00165055",
                "001650555123456789",
                "[16505551234]",
                "16505551234,16505551235",
                "١٦٥٠٥٥٥١٢٣٤",
                // Toll-free, personal, satellite, codes that nobody has.
                "18005550123",
                "15005550123",
                "80012345678",
                "870773123456",
                "2101234567",
                "9991234567",
                // A group, and what is nearly a business-scoped id.
                "Y2FwaV9ncm91cDoxMjM0NTY3ODkwNzg5MDEy",
                "US.",
                ".123",
                "USA.123",
                "U1.123",
                ".US.1",
                "null",
                "{result=a:$.x}",
            ],
        );
    }

    #[test]
    fn a_business_scoped_id_names_its_country() {
        check(Some("US"), &["US.13491208655302741918", " us.1349 ", "US.ENT.11815799212886844830"]);
        check(Some("BR"), &["BR.1"]);
    }

    #[test]
    fn the_table_names_each_country_and_each_beginning_once() {
        let mut codes = BTreeSet::new();
        let mut countries = BTreeSet::new();
        for (country, begin) in NUMBERS {
            assert!(countries.insert(*country), "{country} is there twice");
            assert!(country.is_empty() || Country::parse(country).unwrap().as_str() == *country);
            for code in *begin {
                assert!(codes.insert(*code), "{code} is there twice");
                assert!(code.to_string().len() <= LONGEST_CODE, "{code}");
            }
        }
        assert!(countries.len() > 230, "{}", countries.len());
    }

    #[test]
    fn a_country_is_written_in_two_letters() {
        let country = Country::parse("br").unwrap();
        assert_eq!((format!("{country}"), format!("{country:?}")), ("BR".to_owned(), "BR".to_owned()));
        assert_eq!(serde_json::to_string(&country).unwrap(), "\"BR\"");
        assert_eq!(serde_json::from_str::<Country>("\"BR\"").unwrap(), country);
        for bad in ["", "B", "BRA", "B1", "é", "  ", "B "] {
            assert_eq!(Country::parse(bad), Err(MalformedCountry), "{bad:?}");
            assert!(serde_json::from_str::<Country>(&format!("\"{bad}\"")).is_err(), "{bad:?}");
        }
    }
}
