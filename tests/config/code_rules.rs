//! `[[rule]]`: what loads, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use sendfuse::config::{Clears, Rule, RuleExtent, RuleScope};
use serde_json::json;

use super::{DURATION, load, mistakes, shipped};

#[test]
fn rules_say_which_code_opens_what() {
    let text = r#"
        [[rule]]
        code = 131048
        scope = "phone"
        extent = "business_initiated"
        clears = "time"
        hold = "1h"
        [[rule]]
        code = 130497
        scope = "phone_country"
        clears = "time"
        hold = "1d"
        [[rule]]
        code = 131042
        scope = "waba"
        extent = "customer_initiated"
        clears = "probe"
        [[rule]]
        code = 190
        scope = "token"
        extent = "all"
        clears = "both"
        hold = "90s""#;
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let rule = |code, scope, extent, clears| Rule { code, scope, extent, clears };
    let expected = [
        rule(131_048, RuleScope::Phone, RuleExtent::BusinessInitiated, Clears::Time(hours(1))),
        rule(130_497, RuleScope::PhoneCountry, RuleExtent::All, Clears::Time(hours(24))),
        rule(131_042, RuleScope::Waba, RuleExtent::CustomerInitiated, Clears::Probe),
        rule(190, RuleScope::Token, RuleExtent::All, Clears::Both(Duration::from_secs(90))),
    ];
    let config = load(text, &[]).unwrap();
    assert_eq!(config.rules, expected);
    assert_eq!(
        load(&config.to_toml_redacted(), &[]).unwrap().rules,
        expected,
        "{}",
        config.to_toml_redacted()
    );
    assert_eq!(
        config.to_json_redacted()["rule"][0],
        json!({ "code": 131048, "scope": "phone", "extent": "business_initiated", "clears": "time", "hold": "1h" })
    );

    let one =
        "[{ code = 131064, scope = 'waba', extent = 'business_initiated', clears = 'time', hold = '2h' }]";
    let waba = rule(131_064, RuleScope::Waba, RuleExtent::BusinessInitiated, Clears::Time(hours(2)));
    assert_eq!(load(text, &[("SENDFUSE__RULE", one)]).unwrap().rules, [waba]);
    assert_eq!(load(text, &[("SENDFUSE__RULE", "[]")]).unwrap().rules, []);
}

/// The example in the reference is one that loads.
#[test]
fn the_example_of_rules_loads() {
    let reference = fs::read_to_string(shipped().join("sendfuse.toml")).unwrap();
    let comment = reference.lines().skip_while(|line| *line != "#   rule = [");
    let example: String =
        comment.take_while(|line| line.starts_with("#  ")).map(|line| format!("{}\n", &line[1..])).collect();
    assert_eq!(load(&example, &[]).unwrap().rules.len(), 3, "{example}");
}

#[test]
fn a_bad_rule_is_refused_with_path_value_and_rule() {
    let base = [("code", "131048"), ("scope", "\"phone\""), ("clears", "\"time\""), ("hold", "\"1h\"")];
    // The base with some keys changed; an empty value takes the key away.
    let with = |changes: &[(&'static str, &'static str)]| {
        let mut keys = BTreeMap::from(base);
        keys.extend(changes.iter().copied());
        let keys = keys.iter().filter(|(_, value)| !value.is_empty());
        let keys: Vec<String> = keys.map(|(key, value)| format!("{key} = {value}")).collect();
        format!("{{ {} }}", keys.join(", "))
    };
    let lock = "is a lock, which opens breakers without a rule";
    let pin = "is about PINs, which pin_guard is for";
    let payment = "is about payment or SIP calls, which hold no message back";
    let single = "is about one message or one recipient: a breaker would hold back all the others";
    let number = "must be a whole number, 1 to 99999999";
    let scopes = "must be \"phone\" or \"waba\" or \"phone_country\" or \"token\"";
    let extents = "must be \"all\" or \"business_initiated\" or \"customer_initiated\"";
    let token = "must be \"token\" for code 190: a token's end is no phone's fault";
    let country = "must be \"phone_country\" for code 130497: other countries' users get their messages";
    let no_probe = "must be \"time\" with scope = \"phone_country\": no probe tells about a country";
    let cases: &[(&[(&str, &str)], String)] = &[
        (&[("code", "131031")], format!("code = 131031: {lock}")),
        (&[("code", "368")], format!("code = 368: {lock}")),
        (&[("code", "133005")], format!("code = 133005: {pin}")),
        (&[("code", "141006")], format!("code = 141006: {payment}")),
        (&[("code", "138024")], format!("code = 138024: {payment}")),
        (&[("code", "131026")], format!("code = 131026: {single}")),
        (&[("code", "0")], format!("code = 0: {number}")),
        (&[("code", "-1")], format!("code = -1: {number}")),
        (&[("code", "100000000")], format!("code = 100000000: {number}")),
        (&[("code", "\"131048\"")], format!("code = \"131048\": {number}")),
        (&[("code", "")], "code: must be given".to_owned()),
        (&[("scope", "\"account\"")], format!("scope = \"account\": {scopes}")),
        (&[("scope", "1")], "scope = 1: must be a string in quotes".to_owned()),
        (&[("scope", "")], "scope: must be given".to_owned()),
        (&[("scope", "\"token\"")], "scope = \"token\": \"token\" is for code 190 only".to_owned()),
        (&[("code", "190")], format!("scope = \"phone\": {token}")),
        (&[("code", "190"), ("scope", "\"phone_country\"")], format!("scope = \"phone_country\": {token}")),
        (&[("code", "130497")], format!("scope = \"phone\": {country}")),
        (&[("code", "130497"), ("scope", "\"waba\"")], format!("scope = \"waba\": {country}")),
        (&[("extent", "\"marketing\"")], format!("extent = \"marketing\": {extents}")),
        (
            &[("code", "190"), ("scope", "\"token\""), ("extent", "\"business_initiated\"")],
            "extent = \"business_initiated\": must be \"all\" with scope = \"token\": a bad token sends nothing".to_owned(),
        ),
        (&[("clears", "\"never\"")], "clears = \"never\": must be \"probe\" or \"time\" or \"both\"".to_owned()),
        (&[("clears", "")], "clears: must be given".to_owned()),
        (&[("scope", "\"phone_country\""), ("clears", "\"both\"")], format!("clears = \"both\": {no_probe}")),
        (
            &[("scope", "\"phone_country\""), ("clears", "\"probe\""), ("hold", "")],
            format!("clears = \"probe\": {no_probe}"),
        ),
        (
            &[("clears", "\"probe\"")],
            "hold = \"1h\": is for clears = \"time\" and \"both\": a probe takes no time".to_owned(),
        ),
        (&[("hold", "")], "hold: must be given".to_owned()),
        (&[("clears", "\"both\""), ("hold", "")], "hold: must be given".to_owned()),
        (&[("hold", "60")], format!("hold = 60: {DURATION}")),
        (&[("hold", "\"0s\"")], "hold = \"0s\": must be longer than zero".to_owned()),
        (&[("scop", "\"waba\"")], "scop: there is no such key; did you mean scope?".to_owned()),
        (&[("\"a\\nb\"", "1")], "\"a\\nb\": there is no such key".to_owned()),
    ];
    for (changes, expected) in cases {
        let text = format!("rule = [{}]", with(changes));
        assert_eq!(mistakes(&text, &[]), [format!("rule[0].{expected}")], "{text}");
    }

    // What keys must be together is said beside what else is wrong with one of them.
    let text = format!(
        "rule = [{}]",
        with(&[("code", "190"), ("scope", "\"phone_country\""), ("clears", "\"both\""), ("hold", "")])
    );
    let found = [
        format!("rule[0].clears = \"both\": {no_probe}"),
        "rule[0].hold: must be given".to_owned(),
        format!("rule[0].scope = \"phone_country\": {token}"),
    ];
    assert_eq!(mistakes(&text, &[]), found);

    // All at once, and counted from the first.
    let bad = with(&[("code", "368"), ("scope", "1"), ("extent", "2"), ("hold", ""), ("x", "1")]);
    let text = format!("rule = [{}, {bad}, {}]", with(&[]), with(&[("clears", "\"x\"")]));
    let found = mistakes(&text, &[]);
    let places: Vec<&str> = found.iter().map(|line| line.split([' ', ':']).next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "rule[1].code",
            "rule[1].extent",
            "rule[1].hold",
            "rule[1].scope",
            "rule[1].x",
            "rule[2].clears",
            "rule[2].code"
        ]
    );
    assert_eq!(found[6], "rule[2].code = 131048: rule[0] is for 131048 too: a code has one rule");

    let list = "must be a list of tables, as in [{ code = 131048, scope = \"phone\", clears = \"time\", hold = \"1h\" }]";
    for text in ["rule = 1", "rule = [1]", "rule = \"x\"", "[rule]\ncode = 131048"] {
        assert_eq!(mistakes(text, &[]), [format!("rule: {list}")], "{text}");
    }
    for value in ["", "131048", "[131048]", "[{ code = 131048 }"] {
        assert_eq!(
            mistakes("", &[("SENDFUSE__RULE", value)]),
            [format!("SENDFUSE__RULE: {list}")],
            "{value}"
        );
    }
    assert_eq!(
        mistakes("", &[("SENDFUSE__RULE", "[{ code = 368, scope = 'phone', clears = 'probe' }]")]),
        [format!("SENDFUSE__RULE[0].code = 368: {lock}")]
    );
}

#[test]
fn there_are_at_most_64_rules() {
    let rules = |count: i64| {
        let rule = |code| format!("{{ code = {code}, scope = 'phone', clears = 'probe' }}");
        format!("rule = [{}]", (0..count).map(|index| rule(200_000 + index)).collect::<Vec<_>>().join(", "))
    };
    assert_eq!(load(&rules(64), &[]).unwrap().rules.len(), 64);
    assert_eq!(mistakes(&rules(65), &[]), ["rule: must be at most 64, not 65"]);
}
