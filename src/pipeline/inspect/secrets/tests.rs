//! Values that look like secrets are put together here from parts, so that scanners of repositories
//! stay calm.

use super::*;

fn kinds_and_texts(text: &str) -> Vec<(String, String)> {
    let detectors = Detectors::shipped().unwrap();
    let found = detectors.scan().text(text.as_bytes()).unwrap();
    found
        .into_iter()
        .map(|m| (m.kind.to_string(), text[m.range].to_owned()))
        .collect()
}

fn check(text: &str, expected: &[(&str, &str)]) {
    let found = kinds_and_texts(text);
    let found: Vec<(&str, &str)> = found.iter().map(|(kind, text)| (&**kind, &**text)).collect();
    assert_eq!(found, expected, "{text}");
}

fn b62(length: usize, seed: usize) -> String {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..length)
        .map(|n| char::from(ALPHABET[(n * n * 7 + n * 31 + seed * 17 + 5) % 62]))
        .collect()
}

/// The published, revoked sample of the checksum's rule.
fn github() -> String {
    ["gh", "p_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq17"].concat()
}

fn aws_id() -> String {
    ["AK", "IAQ2M7XW4TZ5L3VBNC"].concat()
}

fn aws_secret() -> String {
    b62(38, 3) + "+/"
}

fn pem(label: &str, line_end: &str) -> String {
    let lines: Vec<String> = (0..6).map(|n| b62(64, n)).collect();
    let dashes = "-----";
    format!(
        "{dashes}BEGIN {label}{dashes}{line_end}{}{line_end}{dashes}END {label}{dashes}",
        lines.join(line_end)
    )
}

#[test]
fn finds_each_kind_of_token() {
    let check_one = |kind: &str, token: String| {
        check(&token, &[(kind, &token)]);
        check(&format!("é KEY=\"{token}\"\r\nnext"), &[(kind, &token)]);
        check(&format!("{token} {token}"), &[(kind, &token), (kind, &token)]);
    };
    check_one("aws-access-key-id", aws_id());
    check_one("github-token", github());
    check_one(
        "github-fine-grained-pat",
        format!("github{}_{}_{}", "_pat", b62(22, 1), b62(59, 2)),
    );
    check_one(
        "anthropic-api-key",
        format!("sk-{}-{}AA", "ant-api03", b62(93, 4)),
    );
    check_one(
        "openai-key",
        format!("sk-{}{}{}{}", "proj-", b62(74, 5), "T3Blbk", "FJ") + &b62(74, 6),
    );
    check_one("stripe-live-key", format!("sk_{}_{}", "live", b62(24, 7)));
    check_one(
        "slack-token",
        format!("xox{}-7301958264-4920175836-{}", "b", b62(24, 8)),
    );
    check_one("google-api-key", format!("AI{}{}", "za", b62(35, 9)));
    check_one("pem-private-key", pem("RSA PRIVATE KEY", "\n"));
    check_one("pem-private-key", pem("OPENSSH PRIVATE KEY", "\r\n    "));
    check_one("pem-private-key", pem("PRIVATE KEY", "\\n"));
    check_one("pem-private-key", pem("PGP PRIVATE KEY BLOCK", "\n> "));
}

#[test]
fn checksums_decide() {
    let good = github();
    check(&good, &[("github-token", &good)]);
    check(&good.replace("0mLq17", "0mLq18"), &[]);
    let npm = good.replacen(&["gh", "p_"].concat(), "npm_", 1);
    check(&npm, &[("npm-token", &npm)]);
    check(&npm.replace('z', "y"), &[]);
}

#[test]
fn finds_our_own_keys_and_only_well_formed_ones() {
    struct Counting;
    impl crate::types::entropy::Entropy for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            for (place, byte) in buffer.iter_mut().enumerate() {
                *byte = u8::try_from(place * 7 % 61).unwrap();
            }
        }
    }
    let body = ["tg_", "live_", &crate::types::entropy::base62(&Counting, 44)].concat();
    let checksum = checks::base62(crc32fast::hash(body.as_bytes())).map(char::from);
    let key = body.clone() + &checksum.iter().collect::<String>();
    check(&key, &[("tollgate-key", &key)]);
    check(&format!("{body}000000"), &[]);
}

#[test]
fn an_aws_secret_needs_a_label_or_an_id_nearby() {
    let (id, secret) = (aws_id(), aws_secret());
    check(&secret, &[]);
    check(
        &format!("AWS_SECRET_ACCESS_KEY={secret}"),
        &[("aws-secret-access-key", &secret)],
    );
    check(
        &format!("\"SecretAccessKey\": \"{secret}\""),
        &[("aws-secret-access-key", &secret)],
    );
    let both = [("aws-access-key-id", &*id), ("aws-secret-access-key", &*secret)];
    check(&format!("{id},{secret}"), &both);
    let far = " ".repeat(500);
    check(&format!("{id}{far}{secret}"), &both[..1]);
}

#[test]
fn a_private_key_of_a_service_account_is_named_so() {
    let key = pem("PRIVATE KEY", "\\n");
    let file = format!("{{\"type\": \"service_account\", \"private_key\": \"{key}\"}}");
    check(&file, &[("gcp-service-account-key", &key)]);
}

#[test]
fn a_pem_block_needs_no_end_but_a_key() {
    let key = pem("PRIVATE KEY", "\n");
    let (cut, _) = key.split_at(200);
    check(&format!("{cut}.\nand so on"), &[("pem-private-key", cut)]);
    let dashes = "-----";
    check(
        &format!("{dashes}BEGIN PRIVATE KEY{dashes}\nMIIE...\n{dashes}END PRIVATE KEY{dashes}"),
        &[],
    );
    check(&pem("PUBLIC KEY", "\n"), &[]);
    let two = format!("{key}\n{key}");
    check(&two, &[("pem-private-key", &key), ("pem-private-key", &key)]);
    let joined = pem("PRIVATE KEY", "\\n\" +\n  \"");
    check(&format!("\"{joined}\";"), &[("pem-private-key", &joined)]);
}

#[test]
fn hides_passwords_in_urls_but_not_placeholders() {
    let found = |url: &str, password: &str| check(&format!("see {url}, ok"), &[("url-password", password)]);
    found("postgres://app:x7Kq2!vLm@db.internal:5432/app", "x7Kq2!vLm");
    found("redis://:hunter22xyz@cache.internal/0", "hunter22xyz");
    found("mongodb+srv://a:b:c:d@cluster.internal", "b:c:d");
    found("https://ann:pässword1@git.internal/x", "pässword1");
    for url in [
        "postgres://app@db.internal/app",
        "postgres://app:password@db.internal/app",
        "postgres://app:${DB_PASSWORD}@db.internal/app",
        "postgres://app:<password>@db.internal/app",
        "postgres://app:xxxxxxxx@db.internal/app",
        "postgres://app:app@db.internal/app",
        "postgres://app:x7Kq2vLm@localhost:5432/app",
        "http://example.com:8080/@user",
        "http://example.com:8080@other",
        "postgres://app:[[SECRET:url-password:ABCDEF]]@db.internal/app",
    ] {
        check(url, &[]);
    }
}

#[test]
fn examples_and_masks_are_no_findings() {
    for text in [
        "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "sk-ant-api03-your-key-here",
        "sk_live_REPLACE_ME_WITH_YOUR_KEY",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "xoxb-1234567890-1234567890-abcdefghijkl",
        "Asia, AKIA and sk-ant-",
    ] {
        check(text, &[]);
    }
}

#[test]
fn a_secret_inside_another_is_one_finding() {
    let token = github();
    let url = format!("https://x-access-token:{token}@git.internal/a.git");
    check(&url, &[("github-token", &token)]);
}

#[test]
fn work_is_bounded_whatever_the_text() {
    let detectors = Detectors::shipped().unwrap();
    let dashes = "-----";
    for unit in [
        "AKIA".to_owned(),
        "T3BlbkFJsk ".to_owned(),
        "://".to_owned(),
        "a://b:".to_owned(),
        format!("{dashes}BEGIN PRIVATE KEY{dashes}"),
        "PRIVATE KEY".to_owned(),
        "\"\\".to_owned(),
    ] {
        let text = unit.repeat((1 << 20) / unit.len());
        let found = detectors.scan().text(text.as_bytes()).map(|found| found.len());
        assert_eq!(found.unwrap_or(0), 0, "{unit}");
    }
    let many = format!("{} ", aws_id()).repeat(10_000);
    let overrun = detectors.scan().text(many.as_bytes()).unwrap_err();
    assert!(overrun.kind.as_str().starts_with("aws-"));
}

#[test]
fn the_budget_is_one_per_body() {
    let detectors = Detectors::shipped().unwrap();
    let mut scan = detectors.scan();
    // Each of these could begin a token, so that each costs a look at some hundred bytes.
    let text = "hvs.".repeat(4_000);
    let outcomes: Vec<bool> = (0..6).map(|_| scan.text(text.as_bytes()).is_ok()).collect();
    assert_eq!(outcomes, [true, true, true, false, false, false]);
}

#[test]
fn twice_the_text_is_at_most_twice_the_work() {
    let detectors = Detectors::shipped().unwrap();
    let work = |unit: &str, bytes: usize| {
        let mut scan = detectors.scan();
        scan.text(unit.repeat(bytes / unit.len()).as_bytes()).ok();
        scan.pattern_bytes()
    };
    for unit in [
        "AKIA",
        "hvs.",
        "eyJ",
        "password=",
        "password is ",
        "kind: Secret\n",
        "mysql -p ",
        "://a:b@",
        "\\\"",
        "\\/",
        "cookie: ",
        "key",
        "Bearer ",
    ] {
        let (once, twice) = (work(unit, 20_000), work(unit, 40_000));
        assert!(twice <= once * 2 + 16_384, "{unit}: {once} then {twice}");
    }
}

#[test]
fn mistakes_in_rules_are_named() {
    let check = |rule: &str, message: &str| {
        let text = format!("examples = []\n[[rule]]\nid = \"r\"\n{rule}");
        let error = Detectors::from_toml(&text).unwrap_err();
        let mut words = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            words += &source.to_string();
        }
        assert!(words.contains(message), "{words}");
    };
    check("keywords = [\"abc\"]\nregex = '('\nreach = 9", "does not compile");
    check("keywords = [\"ab\"]\nregex = '(abc)'\nreach = 9", "3 bytes");
    check("regex = '(abc)'\nreach = 9", "near");
    check("keywords = [\"abc\"]", "give one of regex");
    check("labels = [\"Abc\"]\nvalue = 'x{8}'", "lower case");
    check(
        "keywords = [\"abc\"]\nregex = 'abc[0-9]{9}'\nyes = 'abc{dig:8}'",
        "is not found",
    );
    check(
        "keywords = [\"abc\"]\nregex = 'abc[0-9]{9}'\nno = 'abc{dig:9}'",
        "is taken for a secret",
    );
    check("keywords = [\"abc\"]\nshape = \"pem\"\ncolour = 1", "colour");
}

#[test]
fn every_rule_finds_its_true_case_and_leaves_its_false_one() {
    let detectors = Detectors::shipped().unwrap();
    assert!(detectors.kinds().len() >= 150, "{}", detectors.kinds().len());
    detectors.check(usize::MAX).unwrap();
    let without: Vec<&str> = detectors
        .texts()
        .iter()
        .filter(|rule| {
            (rule.yes.is_none() || rule.no.is_none() || rule.name.is_empty()) && !rule.is_beside_another()
        })
        .map(|rule| rule.id.as_str())
        .collect();
    assert_eq!(without, [""; 0], "without a name or cases");
}

#[test]
fn rules_of_ones_own_stand_beside_the_shipped_ones_and_some_are_off() {
    let own = "[[rule]]\nid = \"badge\"\nkeywords = [\"BADGE-\"]\nregex = 'BADGE-[0-9]{8}'\nyes = 'BADGE-{dig:8}'\nno = 'BADGE-12'\n";
    let detectors = Detectors::with_shipped(own, &["github-token".to_owned()]).unwrap();
    let text = format!("BADGE-70319426 {} {}", github(), aws_id());
    let found = detectors.scan().text(text.as_bytes()).unwrap();
    let kinds: Vec<&str> = found.iter().map(|m| m.kind.as_str()).collect();
    assert_eq!(kinds, ["badge", "aws-access-key-id"]);
    assert_ne!(detectors.version(), Detectors::shipped().unwrap().version());
    let unknown = Detectors::with_shipped("", &["no-such-rule".to_owned()]).unwrap_err();
    assert!(unknown.to_string().contains("no-such-rule"));
}

#[test]
fn a_secret_escaped_again_is_found_where_it_stands() {
    let token = github();
    let coded = token.replace('_', "\\u005f");
    check(&format!("{{\"a\": \"x {coded}\"}}"), &[("github-token", &coded)]);
    let deep = token.replace('_', "\\\\u005f");
    check(&format!("\"\\\"{deep}\\\"\""), &[("github-token", &deep)]);
    check(&format!("line\\n{token}\\nnext"), &[("github-token", &token)]);
    let secret = aws_secret().replace('/', "\\/");
    check(
        &format!("{{\"SecretAccessKey\":\"{secret}\"}}"),
        &[("aws-secret-access-key", &secret)],
    );
}

#[test]
fn passwords_stand_in_sentences_with_their_last_sign() {
    let password = ["Tulip-", "Harbor", "-92!"].concat();
    let found = [("password", &*password)];
    for text in [
        format!("The admin password is {password} - please rotate it"),
        format!("log in as bob with password {password} and go on"),
        format!("Das Passwort lautet {password}"),
    ] {
        check(&text, &found);
    }
    for harmless in [
        "That password is wrong! Try another.",
        "Type your password twice (at least 14 characters!)",
        "a password manager-based flow and password rules v2.0",
    ] {
        check(harmless, &[]);
    }
    let url = format!("postgresql://app:{}@db.internal:5432/prod", "hT7#kd92mZ");
    check(&url, &[("url-password", "hT7#kd92mZ")]);
}
