//! `upstream_stream.txt`: what an upstream sends, and in which pieces.

use serde_json::Value;

/// An upstream's answer.
#[derive(Clone, Debug)]
pub struct Transcript {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub chunks: Vec<Vec<u8>>,
    pub ending: Ending,
}

/// How the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Eof,
    Reset,
}

impl Transcript {
    /// Reads a transcript.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut transcript = Self {
            status: 200,
            headers: Vec::new(),
            chunks: Vec::new(),
            ending: Ending::Eof,
        };
        for line in text.split('\n') {
            if let Some(payload) = line.strip_prefix("> ") {
                transcript.chunks.push(unescape(payload)?);
            } else if let Some(directive) = line.strip_prefix("! ") {
                transcript.direct(directive)?;
            } else if !line.is_empty() && !line.starts_with('#') {
                return Err(format!("unknown line in a transcript: {line}"));
            }
        }
        Ok(transcript)
    }

    fn direct(&mut self, directive: &str) -> Result<(), String> {
        match directive.split_once(' ') {
            Some(("status", status)) => self.status = status.parse().map_err(|_| "a bad status")?,
            Some(("header", header)) => {
                let (name, value) = header.split_once(':').ok_or("a bad header")?;
                self.headers.push((name.to_owned(), value.trim().to_owned()));
            }
            None if directive == "eof" => self.ending = Ending::Eof,
            None if directive == "reset" => self.ending = Ending::Reset,
            _ => return Err(format!("unknown directive: {directive}")),
        }
        Ok(())
    }

    /// Replaces the placeholders `{{path}}` by what stands at that path of the request.
    pub fn filled(mut self, request: &Value) -> Result<Self, String> {
        for chunk in &mut self.chunks {
            let text: String = chunk.iter().map(|byte| char::from(*byte)).collect();
            if let Some((head, rest)) = text.split_once("{{") {
                let (path, tail) = rest.split_once("}}").ok_or("an open placeholder")?;
                let value = at_path(request, path).and_then(Value::as_str);
                let value = value.ok_or_else(|| format!("nothing at {path} of the request"))?;
                let latin = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
                *chunk = [latin(head), value.as_bytes().to_vec(), latin(tail)].concat();
            }
        }
        Ok(self)
    }

    /// The same bytes, cut after every `size` of them.
    pub fn recut(&self, size: usize) -> Self {
        let all = self.chunks.concat();
        Self {
            chunks: all.chunks(size.max(1)).map(<[u8]>::to_vec).collect(),
            ..self.clone()
        }
    }
}

/// The value at a path such as `tools[1].function.name`.
fn at_path<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split(['.', '[', ']'])
        .filter(|step| !step.is_empty())
        .try_fold(value, |value, step| match value {
            Value::Array(list) => list.get(step.parse::<usize>().ok()?),
            other => other.get(step),
        })
}

fn unescape(payload: &str) -> Result<Vec<u8>, String> {
    let (mut bytes, mut rest) = (Vec::new(), payload.bytes());
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).map_err(|_| format!("a bad escape in {payload}"))?
            }
            _ => return Err(format!("a bad escape in {payload}")),
        });
    }
    Ok(bytes)
}
