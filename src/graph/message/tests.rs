//! Messages in every writing, and what is known about each.

use super::*;

const JSON: Option<&str> = Some("application/json; charset=utf-8");
const PARTS: Option<&str> = Some("multipart/form-data; boundary=b");

const BUSINESS: Option<Class> = Some(Class::BusinessInitiated);
const CUSTOMER: Option<Class> = Some(Class::CustomerInitiated);

#[track_caller]
fn classes(content_type: Option<&str>, expected: Option<Class>, bodies: &[&str]) {
    for body in bodies {
        let outline = outline(Endpoint::Messages, content_type, None, body.as_bytes());
        assert_eq!(outline.class, expected, "{content_type:?} {body}");
    }
}

#[track_caller]
fn countries(content_type: Option<&str>, expected: Option<&str>, bodies: &[&str]) {
    for endpoint in [Endpoint::Messages, Endpoint::MarketingMessages] {
        for body in bodies {
            let outline = outline(endpoint, content_type, None, body.as_bytes());
            let country = outline.country.as_ref().map(Country::as_str);
            assert_eq!(country, expected, "{endpoint:?} {content_type:?} {body}");
        }
    }
}

fn multipart(fields: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    format!("{}--b--\r\n", fields.iter().map(part).collect::<String>())
}

#[test]
fn templates_and_direct_sends_are_business_initiated() {
    let bodies = [
        r#"{"messaging_product":"whatsapp","to":"16505551234","type":"template","template":{"name":"x"}}"#,
        r#"{"template":{"name":"x","components":[{"type":"body"}]},"type":"template"}"#,
        r#"{"t\u0079pe":"tem\u0070late"}"#,
        r#"{"type":" Template "}"#,
        r#"{"type":"template","category":null,"text":{"body":"x"}}"#,
        r#"{"type":"template","category":"service"}"#,
        r#"{"type":"text","text":{"body":"x"},"category":"utility"}"#,
        r#"{"type":"interactive","category":"authentication"}"#,
        r#"{"text":{"body":"x"},"category":"MARKETING"}"#,
        "\u{feff}{\"type\":\"template\",\"odd\":\"\\ud83d\"}",
    ];
    for content_type in [JSON, None, Some("text/plain")] {
        classes(content_type, BUSINESS, &bodies);
    }
}

#[test]
fn everything_else_is_customer_initiated() {
    classes(
        JSON,
        CUSTOMER,
        &[
            r#"{"to":"16505551234","type":"text","text":{"body":"\"type\":\"template\""}}"#,
            r#"{"to":"16505551234","text":{"body":"hi"}}"#,
            r#"{"type":null,"template":null,"category":null,"text":{"body":"hi"}}"#,
            r#"{"type":"","category":"","text":{"body":"hi"}}"#,
            r#"{"type":"reaction","reaction":{"type":"template","category":"utility"}}"#,
            r#"{"type":"interactive","interactive":{"type":"template"}}"#,
            r#"{"recipient_type":"group","to":"Y2F","type":"pin","pin":{"type":"pin"}}"#,
            r#"{"type":"text","template":{"name":"x"}}"#,
            r#"{"type":"nonsense"}"#,
            r#"{"type":5}"#,
            r#"{"type":"image","to":["x"]}"#,
        ],
    );
}

#[test]
fn what_is_not_clear_is_of_no_known_class() {
    classes(
        JSON,
        None,
        &[
            "",
            "{}",
            "[]",
            "null",
            "\"template\"",
            r#"{"type":"template""#,
            r#"{"type":"text"}{"type":"template"}"#,
            r#"[{"type":"text"}]"#,
            "to=1&type=text",
            // Without a type: no text, or a template.
            r#"{"to":"16505551234"}"#,
            r#"{"to":"16505551234","text":null}"#,
            r#"{"to":"16505551234","template":{"name":"x"}}"#,
            r#"{"to":"16505551234","template":{"name":"x"},"text":{"body":"x"}}"#,
            r#"{"to":"16505551234","image":{"id":"1"}}"#,
            r#"{"Type":"text"}"#,
            // Twice.
            r#"{"type":"text","type":"template"}"#,
            r#"{"type":"template","type":"text"}"#,
            r#"{"type":"template","type":null}"#,
            r#"{"type":"text","category":"utility","category":null}"#,
            r#"{"type":"text","t\u0079pe":"text"}"#,
            // No words.
            r#"{"type":["template"]}"#,
            r#"{"type":{"type":"template"}}"#,
            r#"{"type":"tem plate"}"#,
            r#"{"type":"template","category":["utility"]}"#,
            r#"{"type":"text","category":"brand_new"}"#,
        ],
    );
}

#[test]
fn forms_say_the_same() {
    classes(
        FORM,
        BUSINESS,
        &[
            "messaging_product=whatsapp&to=16505551234&type=template&template=%7B%22name%22%3A%22x%22%7D",
            "t%79pe=%74emplate",
            "type=text&category=utility&text[body]=x",
        ],
    );
    classes(
        FORM,
        CUSTOMER,
        &[
            "to=16505551234&type=text&text=%7B%22body%22%3A%22type%3Dtemplate%22%7D",
            "to=16505551234&text=%7B%22body%22%3A%22x%22%7D",
            "to=16505551234&text[body]=x",
            "type=reaction",
        ],
    );
    classes(
        FORM,
        None,
        &[
            "",
            "to=16505551234",
            "to=1&template=%7B%7D",
            "to=1&text[body]=x&template[name]=x",
            "type=text&type=template",
            r#"{"type":"text"}"#,
            r#"{"type":"template"}"#,
        ],
    );
    classes(PARTS, BUSINESS, &[&multipart(&[("to", "1"), ("type", "template")])]);
    classes(PARTS, CUSTOMER, &[&multipart(&[("text", "{\"body\":\"x\"}")]), &multipart(&[("type", "text")])]);
    let torn = multipart(&[("type", "text")]).replace("--b--", "");
    classes(PARTS, None, &["type=text", "", &torn, &multipart(&[("type", "text"), ("type", "template")])]);
}

#[test]
fn the_edge_decides_before_the_body() {
    for body in ["", "{}", "\0", r#"{"type":"text","text":{"body":"x"}}"#] {
        assert_eq!(
            outline(Endpoint::MarketingMessages, JSON, None, body.as_bytes()).class,
            BUSINESS,
            "{body}"
        );
    }
    let body = br#"{"encrypted_contents":"eyJ","to":"16505551234","type":"text"}"#;
    assert_eq!(outline(Endpoint::MessagesEncrypted, JSON, None, body), Outline::default());
}

#[test]
fn the_recipient_names_the_country() {
    countries(
        JSON,
        Some("US"),
        &[
            r#"{"to":"+1 (650) 555-1234"}"#,
            r#"{"to":16505551234}"#,
            r#"{"to":"\u002b16505551234"}"#,
            r#"{"recipient":"US.13491208655302741918"}"#,
            r#"{"to":"16505551234","recipient":"BR.1"}"#,
            r#"{"recipient":"BR.1","to":"16505551234"}"#,
            r#"{"to":null,"recipient":"US.1"}"#,
            r#"{"to":"","recipient":"16505551234","recipient_type":"individual"}"#,
            r#"{"to":"5511987654321","to":"16505551234"}"#,
        ],
    );
    countries(
        JSON,
        None,
        &[
            r#"{"recipient_type":"group","to":"16505551234"}"#,
            r#"{"to":"16505551234","recipient_type":"GROUP"}"#,
            r#"{"to":"Y2FwaV9ncm91cDox","recipient":"US.1"}"#,
            r#"{"to":["16505551234"]}"#,
            r#"{"to":{"to":"16505551234"}}"#,
            r#"{"contacts":[{"to":"16505551234"}]}"#,
            r#"{"to":"16505551234""#,
            "{}",
            "",
        ],
    );
    countries(FORM, Some("US"), &["to=%2B16505551234&type=text", "to=+1+650+555+1234", "recipient=US.1&to="]);
    countries(FORM, None, &["recipient_type=group&to=16505551234", "text=to%3D16505551234", ""]);
    countries(PARTS, Some("US"), &[&multipart(&[("to", "+1 650 555 1234")])]);
}

#[track_caller]
fn merged(query: &str, content_type: Option<&str>, body: &str, class: Option<Class>, country: Option<&str>) {
    let outline = outline(Endpoint::Messages, content_type, Some(query), body.as_bytes());
    let named = outline.country.as_ref().map(Country::as_str);
    assert_eq!((outline.class, named), (class, country), "{query} {content_type:?} {body}");
}

#[test]
fn what_only_the_query_says_counts() {
    for (content_type, body) in
        [(None, ""), (JSON, ""), (FORM, ""), (JSON, " "), (JSON, "{}"), (FORM, "x=y"), (PARTS, "--b--")]
    {
        merged("type=template&to=16505551234&access_token=x", content_type, body, BUSINESS, Some("US"));
        merged("text[body]=x&recipient=US.1", content_type, body, CUSTOMER, Some("US"));
    }
    let text = r#"{"type":"text","text":{"body":"x"}}"#;
    merged("to=%2B16505551234", JSON, text, CUSTOMER, Some("US"));
    merged("t%6F=16505551234", FORM, "type=template", BUSINESS, Some("US"));
    merged("access_token=to%3D1", JSON, r#"{"to":"16505551234","type":"template"}"#, BUSINESS, Some("US"));
    merged("type=text", JSON, r#"{"to":"16505551234","text":{"body":"x"}}"#, CUSTOMER, Some("US"));
    let encrypted = outline(Endpoint::MessagesEncrypted, FORM, Some("to=16505551234&type=text"), b"");
    assert_eq!(encrypted, Outline::default());
}

#[test]
fn where_query_and_body_differ_nothing_is_known() {
    let (text, template) = (
        r#"{"to":"16505551234","text":{"body":"x"}}"#,
        r#"{"to":"16505551234","type":"template","template":{}}"#,
    );
    for query in ["type=template", "category=utility", "template=%7B%7D", "type=template&type=text", "type="]
    {
        let expected = if query == "type=" { CUSTOMER } else { None };
        merged(query, JSON, text, expected, Some("US"));
    }
    for query in ["type=text", "type=text&text=x", "type=", "category=brand_new&type=image"] {
        merged(query, JSON, template, None, Some("US"));
    }
    merged("text=x", JSON, template, BUSINESS, Some("US"));
    for query in ["to=5511987654321", "to=x", "to=Y2FwaV9ncm91cDox", "recipient_type=group"] {
        merged(query, JSON, text, CUSTOMER, None);
    }
    for query in ["to=%2B1+604+555+1234&to=16505551235", "to=", "recipient=BR.1", "recipient_type=individual"]
    {
        merged(query, JSON, text, CUSTOMER, Some("US"));
    }
    merged("to=5511987654321", JSON, r#"{"recipient":"US.1","type":"text"}"#, CUSTOMER, None);
    merged("to=16505551234", JSON, r#"{"recipient":"US.1","type":"text"}"#, CUSTOMER, Some("US"));
    merged("to=16505551234", JSON, r#"{"recipient_type":"group","type":"text"}"#, CUSTOMER, None);
    // A body that cannot be read may say anything.
    merged("to=16505551234&type=text", JSON, "{", None, Some("US"));
    let marketing = outline(Endpoint::MarketingMessages, JSON, Some("type=text&to=16505551234"), b"{");
    assert_eq!(
        (marketing.class, marketing.country.map(|one| one.to_string())),
        (BUSINESS, Some("US".to_owned()))
    );
}
