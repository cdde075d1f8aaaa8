//! `[[webhook.source]]`: what loads, and what is refused.

use std::fs;

use tempfile::TempDir;

use super::{MARK, load, mistakes};

#[test]
fn forwarders_have_a_name_a_path_a_header_and_a_secret() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, format!("{MARK}\n")).unwrap();
    let dualhook = "name = \"dualhook\"\npath = \"/webhook/dualhook\"\nheader = \"X-Dualhook-Signature\"";
    let other = "name = \"b\"\npath = \"/b\"\nheader = \"x-hub-signature-256\"";
    let text = format!(
        "[[webhook.source]]\n{dualhook}\nsecret = \"{MARK}\"\n[[webhook.source]]\n{other}\nsecret_file = {file:?}"
    );
    let list = |text: &str| format!("{{ {} }}", text.replace('\n', ", "));
    let variable = format!(
        "[{}, {}]",
        list(&format!("{dualhook}\nsecret = \"{MARK}\"")),
        list(&format!("{other}\nsecret_file = {file:?}"))
    );
    for config in [load(&text, &[]).unwrap(), load("", &[("SENDFUSE__WEBHOOK__SOURCE", &variable)]).unwrap()]
    {
        let [first, second] = &config.webhook.sources[..] else { panic!("two sources") };
        assert_eq!((&*first.name, &*first.path), ("dualhook", "/webhook/dualhook"));
        assert_eq!((first.header.as_str(), first.secret.expose()), ("x-dualhook-signature", MARK));
        assert_eq!((&*second.name, second.secret.expose()), ("b", MARK));
        let shown = config.to_toml_redacted();
        assert!(!format!("{config:?}{shown}{}", config.to_json_redacted()).contains(MARK), "{shown}");
        let again = load(&shown, &[]).unwrap();
        assert_eq!(again.webhook.sources[0].path, first.path);
        assert_eq!(again.to_toml_redacted(), shown);
    }
    assert_eq!(
        mistakes(
            "[[webhook.source]]\nname = \"\"\npath = \"x\"\nhaeder = \"X\"\nsecret_file = \"/no/such\"",
            &[]
        ),
        [
            "webhook.source[0].haeder: there is no such key; did you mean header?",
            "webhook.source[0].header: is missing",
            "webhook.source[0].name = \"\": must be 1 to 64 letters, digits and -_.",
            "webhook.source[0].path = \"x\": must begin with / and go on with letters, digits and -._~/",
            "webhook.source[0].secret_file: cannot be read: No such file or directory (os error 2)",
        ]
    );
    let none = "webhook.source[0].secret: is missing: anyone could post";
    assert_eq!(mistakes(&format!("[[webhook.source]]\n{dualhook}"), &[]), [none]);
    assert_eq!(mistakes(&format!("[[webhook.source]]\n{dualhook}\nsecret = \"\""), &[]), [none]);
    assert_eq!(
        mistakes(&format!("[[webhook.source]]\n{}\nsecret = \"s\"", other.replace("x-hub", "x hub")), &[]),
        [
            "webhook.source[0].header = \"x hub-signature-256\": must be the name of a header, as in \"X-Signature\""
        ]
    );
    let twice = format!("[[webhook.source]]\n{other}\nsecret = \"s\"\n").repeat(2);
    assert_eq!(
        mistakes(&format!("webhook.path = \"/b\"\n{}", twice.replacen("/b", "/c", 1)), &[]),
        [
            "webhook.source[1].name = \"b\": is another source's",
            "webhook.source[1].path = \"/b\": is webhook.path: each needs a path of its own",
        ]
    );
    assert_eq!(
        mistakes(&twice, &[]),
        [
            "webhook.source[1].name = \"b\": is another source's",
            "webhook.source[1].path = \"/b\": is another source's: each needs a path of its own",
        ]
    );

    // Beside whatever else is wrong with them.
    let bad = format!("[[webhook.source]]\n{}\n", other.replace("x-hub", "x hub")).repeat(2);
    let header = "= \"x hub-signature-256\": must be the name of a header, as in \"X-Signature\"";
    assert_eq!(
        mistakes(&format!("webhook.path = \"/b\"\n{}", bad.replacen("/b", "/c", 1)), &[]),
        [
            format!("webhook.source[0].header {header}"),
            none.to_owned(),
            format!("webhook.source[1].header {header}"),
            "webhook.source[1].name = \"b\": is another source's".to_owned(),
            "webhook.source[1].path = \"/b\": is webhook.path: each needs a path of its own".to_owned(),
            none.replace('0', "1"),
        ]
    );
    // What is refused is nobody's path.
    let callback = format!(
        "webhook.path = \"b\"\n[[webhook.source]]\n{}\nsecret = \"s\"",
        other.replace("/b", "/webhook")
    );
    assert_eq!(mistakes(&callback, &[]).len(), 1);
}
