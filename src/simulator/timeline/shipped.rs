//! The timelines that come with sendfuse: `src/simulator/timelines/`.

/// Name and text of each; the name is its file's. But for that of the demo, all name the phones that they lock `locked`.
pub const SHIPPED: [(&str, &str); 12] = [
    ("async", include_str!("../timelines/async.timeline")),
    ("sync403", include_str!("../timelines/sync403.timeline")),
    ("sync400", include_str!("../timelines/sync400.timeline")),
    ("ban", include_str!("../timelines/ban.timeline")),
    ("intermittent", include_str!("../timelines/intermittent.timeline")),
    ("late_duplicates", include_str!("../timelines/late_duplicates.timeline")),
    ("review_pending", include_str!("../timelines/review_pending.timeline")),
    ("reengagement_wave", include_str!("../timelines/reengagement_wave.timeline")),
    ("some_of_many", include_str!("../timelines/some_of_many.timeline")),
    ("waba_ban", include_str!("../timelines/waba_ban.timeline")),
    ("business_initiated", include_str!("../timelines/business_initiated.timeline")),
    ("demo", include_str!("../timelines/demo.timeline")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::simulator::Timeline;

    #[test]
    fn every_file_is_here_and_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/simulator/timelines");
        let mut found = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(path.extension().unwrap(), "timeline");
            let (name, text) = (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                std::fs::read_to_string(&path).unwrap(),
            );
            assert!(SHIPPED.contains(&(&*name, &*text)), "{name} is not shipped as it is");
            let timeline = Timeline::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!timeline.length().is_zero(), "{name}: nothing happens");
            let whom = if name == "demo" { "a" } else { "locked" };
            assert!(!timeline.phones(whom).is_empty(), "{name}: nobody is {whom}");
            found.insert(name);
        }
        assert_eq!(found.len(), SHIPPED.len());
        assert!(found.len() >= 8, "{found:?}");
    }
}
