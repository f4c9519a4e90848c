use super::bad::Problem;
use super::reader::DEPTH_MAX;
use super::*;

/// Reads a text to its end: the kinds of its tokens, in one character each.
fn read(body: &[u8]) -> Result<String, BadJson> {
    let mut reader = Reader::new(body)?;
    let mut kinds = String::new();
    loop {
        let token = reader.advance()?;
        kinds.push(match token.kind {
            Kind::ObjectStart => '{',
            Kind::ObjectEnd => '}',
            Kind::ListStart => '[',
            Kind::ListEnd => ']',
            Kind::Key(_) => 'k',
            Kind::Text(_) => 's',
            Kind::Number => 'n',
            Kind::Bool(_) => 'b',
            Kind::Null => '0',
            Kind::End => return Ok(kinds),
        });
    }
}

fn first_text(body: &[u8]) -> Text {
    let mut reader = Reader::new(body).unwrap();
    loop {
        if let Kind::Text(text) = reader.advance().unwrap().kind {
            return text;
        }
    }
}

#[test]
fn reads_what_the_grammar_allows() {
    let check = |body: &str, kinds: &str| assert_eq!(read(body.as_bytes()).as_deref(), Ok(kinds), "{body}");
    check("{}", "{}");
    check(" [ ] \r\n\t", "[]");
    check(
        r#"{"a":{"b":[1,"x",true,false,null]},"c":-0.5e+10}"#,
        "{k{k[nsbb0]}kn}",
    );
    check("\"x\"", "s");
    check("0", "n");
    check("[0,-0,10,1.5,1e5,1E-5,0.0e0]", "[nnnnnnn]");
    check("[[],[],{\"\":[]}]", "[[][]{k[]}]");
    check(r#"["\"\\\/\b\f\n\r\té😀\u0000"]"#, "[s]");
    check("{\"a\":1,\"a\":2}", "{knkn}");
}

#[test]
fn refuses_what_it_does_not_and_says_where() {
    let deep = "[".repeat(129);
    let cases: [(&[u8], Problem, usize); 46] = [
        (b"", Problem::Empty, 0),
        (b" \n ", Problem::Empty, 3),
        (b"\xEF\xBB\xBF{}", Problem::ByteOrderMark, 0),
        (b"[\"\xFF\"]", Problem::NotUtf8, 2),
        (b"[\"\xC0\x80\"]", Problem::NotUtf8, 2),
        (b"[\"\xED\xA0\x80\"]", Problem::NotUtf8, 2),
        (b"[\"\xF5\x80\x80\x80\"]", Problem::NotUtf8, 2),
        (b"{\0}", Problem::KeyWanted, 1),
        (b"{\"a\":1", Problem::Truncated, 6),
        (b"{\"a\"", Problem::Truncated, 4),
        (b"{\"a", Problem::Truncated, 3),
        (b"[\"a\\", Problem::Truncated, 4),
        (b"[", Problem::Truncated, 1),
        (b"[1,", Problem::Truncated, 3),
        (b"tru", Problem::Truncated, 3),
        (b"{}{}", Problem::Trailing, 2),
        (b"{} x", Problem::Trailing, 3),
        (b"{}\0", Problem::Trailing, 2),
        (b"{\"a\":}", Problem::ValueWanted, 5),
        (b"{\"a\":1,}", Problem::KeyWanted, 7),
        (b"{,}", Problem::KeyWanted, 1),
        (b"{a:1}", Problem::KeyWanted, 1),
        (b"{'a':1}", Problem::KeyWanted, 1),
        (b"[1,]", Problem::ValueWanted, 3),
        (b"[,1]", Problem::ValueWanted, 1),
        (b"[1 2]", Problem::CommaWanted, 3),
        (b"[1}", Problem::CommaWanted, 2),
        (b"{\"a\":1]", Problem::CommaWanted, 6),
        (b"{\"a\":1 \"b\":2}", Problem::CommaWanted, 7),
        (b"{\"a\" 1}", Problem::ColonWanted, 5),
        (b"]", Problem::ValueWanted, 0),
        (b"[nul]", Problem::ValueWanted, 1),
        (b"[True]", Problem::ValueWanted, 1),
        (b"[NaN]", Problem::ValueWanted, 1),
        (b"[truer]", Problem::CommaWanted, 5),
        (b"// x\n{}", Problem::ValueWanted, 0),
        (b"[\"a\nb\"]", Problem::ControlCharacter, 3),
        (b"[\"a\\n\x1Fb\"]", Problem::ControlCharacter, 5),
        (b"[\"\\x41\"]", Problem::BadEscape, 2),
        (b"[\"\\u12G4\"]", Problem::BadEscape, 2),
        (b"[\"\\u12\"]", Problem::BadEscape, 2),
        (b"[\"\\ud800\"]", Problem::LoneSurrogate, 2),
        (b"[\"\\udc00\"]", Problem::LoneSurrogate, 2),
        (b"[\"\\ud800\\u0041\"]", Problem::LoneSurrogate, 2),
        (b"[\"\\ud800\\ud800\"]", Problem::LoneSurrogate, 2),
        (deep.as_bytes(), Problem::TooDeep { limit: 128 }, 128),
    ];
    for (body, problem, offset) in cases {
        let shown = String::from_utf8_lossy(body);
        assert_eq!(read(body), Err(BadJson { offset, problem }), "{shown}");
    }
}

#[test]
fn refuses_malformed_numbers() {
    for number in [
        "01", "-", "+1", "1.", ".5", "1e", "1e+", "1.e5", "--1", "1_000", "0x10", "1a", "-a", "1.2.3", "00",
        "-01",
    ] {
        let body = format!("[{number}]");
        let problem = read(body.as_bytes()).unwrap_err().problem;
        let expected = [Problem::BadNumber, Problem::ValueWanted];
        assert!(expected.contains(&problem), "{body}: {problem}");
    }
}

#[test]
fn nesting_up_to_the_limit_is_read() {
    let depth = usize::try_from(DEPTH_MAX).unwrap();
    let body = "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(read(body.as_bytes()).unwrap(), body);
    let mixed = "{\"a\":[".repeat(depth / 2) + &"]}".repeat(depth / 2);
    read(mixed.as_bytes()).unwrap();
}

#[test]
fn agrees_with_serde_json_on_every_prefix_and_every_changed_byte() {
    let body = r#"{"a":[1,-2.5e3,"x\n\u00e9\ud83d\ude00",true,null,{"b":{}}],"c":""}"#.as_bytes();
    let accepts = |body: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
    for end in 0..=body.len() {
        assert_eq!(
            read(&body[..end]).is_ok(),
            accepts(&body[..end]),
            "prefix of {end}"
        );
    }
    for place in 0..body.len() {
        for byte in [
            b'"', b'\\', b'{', b']', b',', b':', b'0', b'e', b'u', b' ', b'\n', 0, 0x80,
        ] {
            let mut changed = body.to_vec();
            changed[place] = byte;
            // IgnoredAny does not look into strings as closely: lone surrogates pass there.
            let strict = serde_json::from_slice::<serde_json::Value>(&changed).is_ok();
            let shown = String::from_utf8_lossy(&changed);
            assert_eq!(read(&changed).is_ok(), strict, "{shown}");
        }
    }
}

#[test]
fn tokens_stand_where_they_say() {
    let body = br#" {"key" : [12, "t\u0065xt"] } "#;
    let mut reader = Reader::new(body).unwrap();
    let mut found = Vec::new();
    loop {
        let token = reader.advance().unwrap();
        if token.kind == Kind::End {
            break;
        }
        found.push(std::str::from_utf8(&body[token.range()]).unwrap());
    }
    assert_eq!(found, ["{", "\"key\"", "[", "12", "\"t\\u0065xt\"", "]", "}"]);
}

#[test]
fn texts_are_unescaped_and_borrowed_without_escapes() {
    let check = |body: &str, escapes: Escapes| {
        let text = first_text(body.as_bytes());
        let expected: String = serde_json::from_str(body).unwrap();
        assert_eq!(text.to_str(body.as_bytes()), expected);
        assert_eq!(text.escapes(), escapes, "{body}");
        let borrowed = matches!(text.unescape(body.as_bytes()), std::borrow::Cow::Borrowed(_));
        assert_eq!(borrowed, escapes == Escapes::None);
    };
    check(r#""plain é 😀""#, Escapes::None);
    check(r#""a\n\t\"\\\b\f\rb""#, Escapes::Plain);
    check(r#""a\/b""#, Escapes::Coded);
    check(r#""a\u00e9\ud83d\ude00\u0000b\n""#, Escapes::Coded);
    check(r#""\\u0041""#, Escapes::Plain);
    check(r#""""#, Escapes::None);
}

#[test]
fn every_offset_maps_back_to_its_raw_bytes() {
    let body = r#"["aé\n\"b\u00e9c\ud83d\ude00d\/😀e\\"]"#.as_bytes();
    let text = first_text(body);
    let unescaped = text.unescape(body).into_owned();
    for start in 0..=unescaped.len() {
        for end in start..=unescaped.len() {
            let cut = |at: usize| std::str::from_utf8(&unescaped[..at]).is_ok();
            if !cut(start) || !cut(end) {
                continue;
            }
            let mut places = text.places(body);
            let raw = places.body_offset(start)..places.body_offset(end);
            let quoted = [b"\"", &body[raw], b"\""].concat();
            let again: String = serde_json::from_slice(&quoted).unwrap();
            assert_eq!(again.as_bytes(), &unescaped[start..end]);
        }
    }
}

#[test]
fn long_texts_are_searched_to_their_end() {
    for length in 0..200 {
        let body = format!("[\"{}\\n{}\"]", "x".repeat(length), "y".repeat(length));
        let text = first_text(body.as_bytes());
        assert_eq!(text.raw_len(), 2 * length + 2);
        let control = format!("[\"{}\u{1}\"]", "x".repeat(length));
        assert_eq!(read(control.as_bytes()).unwrap_err().offset, 2 + length);
    }
}

#[test]
fn strings_of_a_value_are_all_visited_and_nothing_else() {
    let body = br#"{"skip":{"a":["b",{"c":"d"}],"e":1},"after":"x"}"#;
    let mut reader = Reader::new(body).unwrap();
    reader.advance().unwrap();
    reader.next_key().unwrap();
    let first = reader.advance().unwrap();
    let mut seen = Vec::new();
    reader
        .strings_of(first, |text| seen.push(text.to_str(body).into_owned()))
        .unwrap();
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    assert_eq!(reader.next_key().unwrap().unwrap().to_str(body), "after");
}

#[test]
fn errors_hold_no_content() {
    let error = read(b"{\"password\": \"hunter2\" \"x\"}")
        .unwrap_err()
        .to_string();
    assert!(!error.contains("hunter2") && error.contains("byte 23"), "{error}");
}

#[test]
fn escapes_are_checked_wherever_pieces_of_a_long_text_end() {
    for shift in 0..40 {
        let long = format!("{}{}", "x".repeat(490 + shift), r#"\\z\\\"\"\n\\"#);
        let body = format!("[\"{long}{long}\"]");
        let text = first_text(body.as_bytes());
        let expected: Vec<String> = serde_json::from_str(&body).unwrap();
        assert_eq!(text.to_str(body.as_bytes()), expected[0]);
        assert_eq!(text.escapes(), Escapes::Plain);
        let coded = format!("[\"{long}\\u0041{long}\"]");
        assert_eq!(first_text(coded.as_bytes()).escapes(), Escapes::Coded);
        for bad in ["\\z", "\\ud800"] {
            let body = format!("[\"{long}{bad}{long}\"]");
            assert_eq!(read(body.as_bytes()).unwrap_err().offset, 2 + long.len());
        }
    }
}
