//! JSON Schema as Gemini takes it: one keyword that it does not know would refuse the whole request.
//!
//! What can be said in other words is; what cannot is left out and reported.

use bytes::BufMut;

use crate::dialect::raw::{Members, Raw, put_string};
use crate::pipeline::translate::dropped::{Losses, Place};

/// How deep schemas may nest; what lies deeper may be anything.
const DEPTH_MAX: u32 = 48;

/// Keywords whose value is taken as it is.
const KEPT: [&str; 15] = [
    "title",
    "description",
    "nullable",
    "default",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "propertyOrdering",
    "type",
];

/// Keywords without which a schema means the same to a model.
const SILENT: [&str; 10] = [
    "$schema",
    "$id",
    "$comment",
    "examples",
    "readOnly",
    "writeOnly",
    "deprecated",
    "contentEncoding",
    "contentMediaType",
    "strict",
];

/// Formats that Gemini knows.
const FORMATS: [&str; 6] = ["date-time", "enum", "int32", "int64", "float", "double"];

/// Writes the schema.
pub(super) fn put(out: &mut Vec<u8>, losses: &mut Losses, place: Place<'_>, schema: Raw<'_>) {
    Writer { out, losses }.schema(place, schema, 0);
}

struct Writer<'w> {
    out: &'w mut Vec<u8>,
    losses: &'w mut Losses,
}

impl Writer<'_> {
    fn key(&mut self, name: &str) {
        self.separate();
        put_string(self.out, name);
        self.out.put_u8(b':');
    }

    fn separate(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.put_u8(b',');
        }
    }

    fn schema(&mut self, place: Place<'_>, schema: Raw<'_>, depth: u32) {
        let members = schema.members().unwrap_or_default();
        if depth > DEPTH_MAX {
            self.losses.loss(place, "nested too deeply");
            self.out.put_slice(b"{}");
            return;
        }
        self.out.put_u8(b'{');
        self.members(place, &members, depth);
        self.out.put_u8(b'}');
    }

    fn members(&mut self, place: Place<'_>, members: &Members<'_>, depth: u32) {
        if let Some(reference) = members.string("$ref") {
            // A reference stands alone; the shared definition says the rest.
            self.key("$ref");
            put_string(self.out, &reference.replacen("#/definitions/", "#/$defs/", 1));
            for (name, _) in members.iter().filter(|(name, _)| *name != "$ref") {
                if !matches!(name, "$defs" | "definitions") {
                    self.losses.hint(place.member(name), "stands beside a reference");
                }
            }
            self.definitions(place, members, depth);
            return;
        }
        for (name, value) in members.iter() {
            self.member(place, members, name, value, depth);
        }
        self.definitions(place, members, depth);
    }

    fn definitions(&mut self, place: Place<'_>, members: &Members<'_>, depth: u32) {
        let found = ["$defs", "definitions"]
            .iter()
            .find_map(|name| Some((*name, members.get(name)?)));
        if let Some((name, definitions)) = found {
            self.key("$defs");
            self.map(place.member(name), definitions, depth);
        }
    }

    fn member(&mut self, place: Place<'_>, all: &Members<'_>, name: &str, value: Raw<'_>, depth: u32) {
        let here = place.member(name);
        match name {
            "$defs" | "definitions" => {}
            "type" | "default" if value.is_null() => {}
            _ if KEPT.contains(&name) => {
                self.key(name);
                self.out.put_slice(value.text().as_bytes());
            }
            "format" => self.format(here, value),
            "enum" => self.one_of_these(here, &value.elements().unwrap_or_default()),
            "const" if !all.contains("enum") => self.one_of_these(here, &[value]),
            "properties" => {
                self.key(name);
                self.map(here, value, depth);
            }
            "required" => self.required(all, value),
            "items" if value.text().starts_with('[') => self.list(here, "prefixItems", value, depth),
            "items" => {
                self.key(name);
                self.schema(here, value, depth + 1);
            }
            "prefixItems" | "anyOf" => self.list(here, name, value, depth),
            "oneOf" if !all.contains("anyOf") => self.list(here, "anyOf", value, depth),
            "allOf" => self.all_of(here, all, value, depth),
            "additionalProperties" => {
                self.key(name);
                match value.boolean() {
                    Some(_) => self.out.put_slice(value.text().as_bytes()),
                    None => self.schema(here, value, depth + 1),
                }
            }
            "exclusiveMinimum" => self.limit(here, all, "minimum", value, 1),
            "exclusiveMaximum" => self.limit(here, all, "maximum", value, -1),
            _ if SILENT.contains(&name) => self.losses.hint(here, "unknown to Gemini's schemas"),
            _ => self.losses.loss(here, "unknown to Gemini's schemas"),
        }
    }

    /// Schemas by name.
    fn map(&mut self, place: Place<'_>, value: Raw<'_>, depth: u32) {
        self.out.put_u8(b'{');
        for (name, schema) in value.members().unwrap_or_default().iter() {
            self.key(name);
            self.schema(place.member(name), schema, depth + 1);
        }
        self.out.put_u8(b'}');
    }

    fn list(&mut self, place: Place<'_>, name: &str, value: Raw<'_>, depth: u32) {
        self.key(name);
        self.out.put_u8(b'[');
        for (index, schema) in value.elements().unwrap_or_default().into_iter().enumerate() {
            self.separate();
            self.schema(place.element(index), schema, depth + 1);
        }
        self.out.put_u8(b']');
    }

    fn format(&mut self, place: Place<'_>, value: Raw<'_>) {
        if value
            .string()
            .is_some_and(|format| FORMATS.contains(&format.as_ref()))
        {
            self.key("format");
            self.out.put_slice(value.text().as_bytes());
        } else {
            self.losses.hint(place, "a format that Gemini does not know");
        }
    }

    /// Values to choose from: strings that are not empty, and numbers.
    fn one_of_these(&mut self, place: Place<'_>, values: &[Raw<'_>]) {
        let is_taken = |value: &&Raw<'_>| {
            let text = value.text();
            text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
                || value.escaped().is_some_and(|text| !text.is_empty())
        };
        let taken: Vec<_> = values.iter().filter(is_taken).collect();
        if taken.len() < values.len() {
            self.losses
                .loss(place, "Gemini chooses between texts and numbers only");
        }
        if taken.is_empty() {
            return;
        }
        self.key("enum");
        self.out.put_u8(b'[');
        for value in taken {
            self.separate();
            self.out.put_slice(value.text().as_bytes());
        }
        self.out.put_u8(b']');
    }

    /// Only properties that are there can be required.
    fn required(&mut self, all: &Members<'_>, value: Raw<'_>) {
        let properties = all.members("properties").unwrap_or_default();
        let listed = value.elements().unwrap_or_default();
        let known = |name: &Raw<'_>| name.string().is_some_and(|name| properties.contains(&name));
        let known: Vec<_> = listed.into_iter().filter(known).collect();
        if known.is_empty() {
            return;
        }
        self.key("required");
        self.out.put_u8(b'[');
        for name in known {
            self.separate();
            self.out.put_slice(name.text().as_bytes());
        }
        self.out.put_u8(b']');
    }

    /// One schema is that schema; of several, Gemini can be told one.
    fn all_of(&mut self, place: Place<'_>, all: &Members<'_>, value: Raw<'_>, depth: u32) {
        let parts = value.elements().unwrap_or_default();
        for (index, part) in parts.iter().enumerate() {
            let here = place.element(index);
            let members = part.members().unwrap_or_default();
            let clashes = members.iter().any(|(name, _)| all.contains(name));
            let chosen = all.contains("anyOf") || all.contains("oneOf");
            let clashes = if members.contains("$ref") { chosen } else { clashes };
            if index > 0 || depth > DEPTH_MAX || clashes {
                self.losses.loss(here, "Gemini's schemas have no `allOf`");
            } else {
                for (name, value) in members.iter().filter(|(name, _)| *name != "$ref") {
                    self.member(here, &members, name, value, depth + 1);
                }
                if let Some(reference) = members.string("$ref") {
                    self.list_of_reference(&reference);
                }
            }
        }
    }

    /// A reference beside other keywords: the only choice of one.
    fn list_of_reference(&mut self, reference: &str) {
        self.key("anyOf");
        self.out.put_slice(br#"[{"$ref":"#);
        put_string(self.out, &reference.replacen("#/definitions/", "#/$defs/", 1));
        self.out.put_slice(b"}]");
    }

    /// A limit that is not reached: the next whole number, where it is one.
    fn limit(&mut self, place: Place<'_>, all: &Members<'_>, name: &str, value: Raw<'_>, step: i64) {
        let is_integer = all.string("type").is_some_and(|kind| kind == "integer");
        let whole = value.text().parse::<i64>().ok();
        let limit = whole
            .and_then(|limit| limit.checked_add(step))
            .filter(|_| is_integer);
        if all.contains(name) {
            self.losses.loss(place, "beside another limit");
        } else if let Some(limit) = limit {
            self.key(name);
            self.out.put_slice(limit.to_string().as_bytes());
        } else if value.text().parse::<f64>().is_ok() {
            self.losses.hint(place, "sent as a limit that may be reached");
            self.key(name);
            self.out.put_slice(value.text().as_bytes());
        } else {
            self.losses.loss(place, "a number is wanted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, expected: &str, lost: &[&str]) {
        let (mut out, mut losses) = (Vec::new(), Losses::default());
        put(
            &mut out,
            &mut losses,
            Place::Body.member("s"),
            Raw::read(schema).unwrap(),
        );
        let written: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
        assert_eq!(written, expected, "{schema}");
        let paths: Vec<_> = losses.into_list().into_iter().map(|lost| lost.path).collect();
        assert_eq!(paths, lost, "{schema}");
    }

    #[test]
    fn what_gemini_knows_stays() {
        let known = r##"{"type":"object","properties":{"a":{"type":["string","null"],"minLength":1},
            "b":{"type":"array","items":{"$ref":"#/$defs/d"}},"c":{"anyOf":[{"type":"number"},{"type":"string"}]}},
            "required":["a"],"additionalProperties":false,"$defs":{"d":{"type":"integer","enum":[1,2]}}}"##;
        check(known, known, &[]);
    }

    #[test]
    fn what_can_be_said_otherwise_is() {
        check(
            r#"{"type":"integer","exclusiveMinimum":0,"exclusiveMaximum":10}"#,
            r#"{"type":"integer","minimum":1,"maximum":9}"#,
            &[],
        );
        check(
            r#"{"type":"number","exclusiveMinimum":0.5}"#,
            r#"{"type":"number","minimum":0.5}"#,
            &["s.exclusiveMinimum"],
        );
        check(r#"{"const":"x"}"#, r#"{"enum":["x"]}"#, &[]);
        check(
            r#"{"oneOf":[{"type":"string"},{"type":"null"}]}"#,
            r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#,
            &[],
        );
        check(
            r##"{"definitions":{"d":{}},"properties":{"a":{"$ref":"#/definitions/d","description":"x"},
                "b":{"allOf":[{"$ref":"#/definitions/d"}],"description":"y"}}}"##,
            r##"{"$defs":{"d":{}},"properties":{"a":{"$ref":"#/$defs/d"},
                "b":{"anyOf":[{"$ref":"#/$defs/d"}],"description":"y"}}}"##,
            &["s.properties.a.description"],
        );
        check(
            r#"{"allOf":[{"type":"object","properties":{"a":{}}}]}"#,
            r#"{"type":"object","properties":{"a":{}}}"#,
            &[],
        );
        check(
            r#"{"type":"array","items":[{"type":"string"},true]}"#,
            r#"{"type":"array","prefixItems":[{"type":"string"},{}]}"#,
            &[],
        );
    }

    #[test]
    fn what_gemini_does_not_know_goes_and_is_reported() {
        check(
            r#"{"$schema":"x","type":"object","patternProperties":{},"if":{},"uniqueItems":true}"#,
            r#"{"type":"object"}"#,
            &["s.$schema", "s.patternProperties", "s.if", "s.uniqueItems"],
        );
        check(
            r#"{"type":"string","format":"uri","enum":["a","",null]}"#,
            r#"{"type":"string","enum":["a"]}"#,
            &["s.format", "s.enum"],
        );
        check(r#"{"const":true}"#, "{}", &["s.const"]);
        check(
            r#"{"properties":{"a":{}},"required":["b"]}"#,
            r#"{"properties":{"a":{}}}"#,
            &[],
        );
        check(
            r#"{"allOf":[{"type":"string"},{"minLength":2}]}"#,
            r#"{"type":"string"}"#,
            &["s.allOf[1]"],
        );
        check("true", "{}", &[]);
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}{}{}", r#"{"items":"#.repeat(60), "{}", "}".repeat(60));
        let (mut out, mut losses) = (Vec::new(), Losses::default());
        put(
            &mut out,
            &mut losses,
            Place::Body.member("s"),
            Raw::read(&deep).unwrap(),
        );
        assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
        assert_eq!(losses.into_list().len(), 1);
    }
}
