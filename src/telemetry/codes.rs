//! The Graph error codes that are counted one by one. Any other is counted as `other`: what Meta, or somebody who plays
//! Meta, invents must not make new series.

/// Codes that a WhatsApp app meets, in ascending order.
pub(super) const KNOWN: [i64; 83] = [
    0, 1, 2, 3, 4, 10, 17, 32, 33, 100, 102, 104, 190, 200, 368, 613, 80_007, 130_403, 130_429, 130_472,
    130_497, 131_000, 131_005, 131_008, 131_009, 131_016, 131_020, 131_021, 131_026, 131_031, 131_037,
    131_041, 131_042, 131_045, 131_047, 131_048, 131_049, 131_050, 131_051, 131_052, 131_053, 131_055,
    131_056, 131_057, 131_060, 131_062, 131_063, 131_064, 131_201, 131_207, 131_208, 132_000, 132_001,
    132_005, 132_007, 132_012, 132_015, 132_016, 132_018, 132_068, 132_069, 133_000, 133_004, 133_005,
    133_006, 133_008, 133_009, 133_010, 133_015, 133_016, 134_011, 134_100, 134_101, 134_102, 135_000,
    137_000, 138_006, 139_200, 141_006, 1_752_041, 2_494_100, 2_593_107, 2_593_108,
];

/// What all the others are counted as.
pub(super) const OTHER: &str = "other";

/// A code's place in [`KNOWN`]; the place after the last, if it is not there.
pub(super) fn place(code: i64) -> usize {
    KNOWN.binary_search(&code).unwrap_or(KNOWN.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_code_is_found_and_no_other() {
        for (place_of, code) in KNOWN.into_iter().enumerate() {
            assert_eq!(place(code), place_of, "{code}");
        }
        for unknown in [-1, 5, 131_032, i64::MIN, i64::MAX] {
            assert_eq!(place(unknown), KNOWN.len(), "{unknown}");
        }
    }
}
