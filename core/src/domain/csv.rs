//! Tables as CSV.

/// RFC 4180, and no cell that a spreadsheet would run as a formula.
pub fn csv_lines(rows: &[impl AsRef<[String]>]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        // Writing into memory has nothing that could fail.
        let _ = writer.write_record(row.as_ref().iter().map(|cell| harmless(cell)));
    }
    writer.into_inner().unwrap_or_default()
}

/// Spreadsheets take a cell that begins so for a formula, and one of these may be the name of a key. In many
/// countries they begin a new cell at a semicolon too, and at a line's end.
fn harmless(cell: &str) -> String {
    let mut safe = String::with_capacity(cell.len() + 1);
    let mut begins = true;
    // At the beginning of a file a byte order mark is none of the text, and would hide what follows it.
    for c in cell.chars().filter(|c| *c != '\u{feff}') {
        if begins && matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r') {
            safe.push('\'');
        }
        safe.push(c);
        begins = matches!(c, ';' | '\t' | '\r' | '\n');
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
        reader.records().map(|row| row.unwrap().iter().map(ToOwned::to_owned).collect()).collect()
    }

    #[test]
    fn quotes_commas_and_lines_are_written_as_the_standard_says() {
        let lines = csv_lines(&[["a\"b", "c,d", "e\nf", "=1+1"].map(str::to_owned)]);
        assert_eq!(String::from_utf8(lines).unwrap(), "\"a\"\"b\",\"c,d\",\"e\nf\",'=1+1\r\n");
    }

    #[test]
    fn a_byte_order_mark_hides_no_formula() {
        assert_eq!(csv_lines(&[["\u{feff}=1+1".to_owned()]]), b"'=1+1\r\n");
    }

    proptest! {
        #[test]
        fn what_anybody_named_something_comes_back_and_never_as_a_formula(
            cells in proptest::array::uniform3("[=+@\t\r\n\",;' a-z0-9\u{e9}-]{0,12}"),
            any: String,
        ) {
            let row = [cells[0].clone(), cells[1].clone(), cells[2].clone(), any];
            let back = read(&csv_lines(std::slice::from_ref(&row)));
            prop_assert_eq!(back.len(), 1);
            for (cell, back) in row.iter().zip(&back[0]) {
                for piece in back.split([';', '\n']) {
                    prop_assert!(!piece.starts_with(['=', '+', '-', '@', '\t', '\r']), "{back:?}");
                }
                let bare = |text: &str| text.replace(['\'', '\u{feff}'], "");
                prop_assert_eq!(bare(back), bare(cell));
            }
        }
    }
}
