//! Comma-separated values (RFC 4180), as far as reports of platforms use them.

/// The records of a text: fields between commas, quoted where they hold commas, quotes or line ends.
pub fn records(text: &str) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    let (mut record, mut field) = (Vec::new(), String::new());
    let mut quoted = false;
    let mut chars = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            other => field.push(other),
        }
    }
    if !field.is_empty() || !record.is_empty() {
        record.push(field);
        records.push(record);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas_and_line_ends() {
        let found = records("\u{feff}a,\"b,\"\"c\"\"\"\r\n\"1\n2\",\n3");
        assert_eq!(found, [vec!["a", "b,\"c\""], vec!["1\n2", ""], vec!["3"]]);
        assert!(records("").is_empty());
    }
}
