//! OSSEC's own kind of XML: several roots, `\<` inside text, unescaped `&` and `>`, `<var>`s. Never guesses: what is not closed is an error with its line.
//! (XML libraries refuse these files: they have more than one root and bare `&`s.)

/// Elements may be nested so deep; rules need three levels.
const DEPTH_MAX: usize = 32;

/// One element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Element {
    /// Its name, in lower case: OSSEC compares them so.
    pub name: String,
    /// Attributes in their order, names in lower case.
    pub attributes: Vec<(String, String)>,
    /// Its text, with all its blanks; of no use if it has children.
    pub text: String,
    pub children: Vec<Element>,
    /// The line on which it begins, from 1.
    pub line: u32,
}

impl Element {
    /// An attribute's value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is wrong, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub line: u32,
    pub message: String,
}

/// Reads a file's elements; variables are put in.
pub(crate) fn read(text: &str) -> Result<Vec<Element>, Fault> {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0, line: 1 };
    let mut elements = Vec::new();
    while reader.skip_to_element()? {
        elements.push(reader.element(0)?);
    }
    let mut variables = Vec::new();
    elements.iter().for_each(|element| collect(element, &mut variables));
    if !variables.is_empty() {
        put_in(&mut elements, &variables);
    }
    Ok(elements)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u32,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += u32::from(byte == b'\n');
        Some(byte)
    }

    fn sees(&self, text: &[u8]) -> bool {
        self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(text))
    }

    fn fault<T>(&self, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault { line: self.line, message: message.into() })
    }

    /// A comment ends with `-->` or, to OSSEC, with `!>`.
    fn skip_comment(&mut self) -> Result<(), Fault> {
        let line = self.line;
        self.at += 2;
        while !self.sees(b"-->") && !self.sees(b"!>") {
            if self.next().is_none() {
                return Err(Fault { line, message: "the comment that begins here is never closed".into() });
            }
        }
        self.at += if self.sees(b"!>") { 2 } else { 3 };
        Ok(())
    }

    /// Outside of elements any text is passed over. False at the end.
    fn skip_to_element(&mut self) -> Result<bool, Fault> {
        loop {
            if self.sees(b"<!") {
                self.skip_comment()?;
            } else if self.sees(b"<?") {
                while !self.sees(b">") && self.next().is_some() {}
            } else if self.sees(b"</") {
                return self.fault("this closes an element that was never opened");
            } else if self.peek() == Some(b'<') {
                return Ok(true);
            } else if self.next().is_none() {
                return Ok(false);
            }
        }
    }

    fn element(&mut self, depth: usize) -> Result<Element, Fault> {
        if depth > DEPTH_MAX {
            return self.fault("elements are nested too deep");
        }
        let line = self.line;
        self.next();
        let mut name = Vec::new();
        while let Some(byte) = self.peek() {
            if byte.is_ascii_whitespace() || byte == b'>' || self.sees(b"/>") {
                break;
            }
            name.push(byte);
            self.next();
        }
        let name = lossy(&name);
        if name.is_empty() {
            return self.fault("an element without a name (write `\\<` for `<` in a pattern)");
        }
        let mut element = Element { name: name.to_ascii_lowercase(), line, ..Element::default() };
        if self.attributes(&mut element)? {
            return Ok(element);
        }
        let mut text = Vec::new();
        loop {
            if self.sees(b"\\<") && !self.sees(b"\\<!") {
                text.extend(b"\\<");
                self.at += 2;
            } else if self.sees(b"<!") {
                self.skip_comment()?;
            } else if self.sees(b"</") {
                self.at += 2;
                let mut closing = Vec::new();
                while let Some(byte) = self.next()
                    && byte != b'>'
                {
                    closing.push(byte);
                }
                if lossy(&closing).trim() != name {
                    return self.fault(format!("<{name}> of line {line} is closed by </{}>", lossy(&closing).trim()));
                }
                element.text = entities(&lossy(&text));
                return Ok(element);
            } else if self.peek() == Some(b'<') {
                element.children.push(self.element(depth + 1)?);
            } else if let Some(byte) = self.next() {
                text.push(byte);
            } else {
                return Err(Fault { line, message: format!("<{name}> is never closed") });
            }
        }
    }

    /// True if the element ends with its head.
    fn attributes(&mut self, element: &mut Element) -> Result<bool, Fault> {
        loop {
            while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
                self.next();
            }
            match self.next() {
                None => return self.fault(format!("<{}> is never closed", element.name)),
                Some(b'>') => return Ok(false),
                Some(b'/') if self.peek() == Some(b'>') => {
                    self.next();
                    return Ok(true);
                }
                Some(first) => {
                    let mut name = vec![first];
                    while let Some(byte) = self.peek()
                        && !byte.is_ascii_whitespace()
                        && !matches!(byte, b'=' | b'>')
                    {
                        name.push(byte);
                        self.next();
                    }
                    let name = lossy(&name).to_ascii_lowercase();
                    while self.peek().is_some_and(|byte| byte.is_ascii_whitespace() || byte == b'=') {
                        self.next();
                    }
                    let quote = match self.next() {
                        Some(quote @ (b'"' | b'\'')) => quote,
                        _ => return self.fault(format!("attribute {name} has no value in quotes")),
                    };
                    let mut value = Vec::new();
                    loop {
                        match self.next() {
                            Some(byte) if byte == quote => break,
                            Some(byte) => value.push(byte),
                            None => return self.fault(format!("the value of attribute {name} is never closed")),
                        }
                    }
                    if element.attribute(&name).is_some() {
                        return self.fault(format!("attribute {name} is there twice"));
                    }
                    element.attributes.push((name, entities(&lossy(&value))));
                }
            }
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// OSSEC itself takes `&lt;` literally and no file of its own has it; whoever writes it means `<`.
fn entities(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let known = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    known.iter().fold(text.to_owned(), |text, (entity, meant)| text.replace(entity, meant))
}

fn collect(element: &Element, variables: &mut Vec<(String, String)>) {
    if element.name == "var"
        && let Some(name) = element.attribute("name")
    {
        variables.push((name.to_owned(), element.text.clone()));
    }
    element.children.iter().for_each(|child| collect(child, variables));
}

fn put_in(elements: &mut Vec<Element>, variables: &[(String, String)]) {
    elements.retain(|element| element.name != "var");
    for element in elements {
        element.text = substitute(&element.text, variables);
        element.attributes.iter_mut().for_each(|(_, value)| *value = substitute(value, variables));
        put_in(&mut element.children, variables);
    }
}

/// A variable's name ends where one of `$.|, ` stands; a `$` before anything that is no variable is a `$`.
fn substitute(text: &str, variables: &[(String, String)]) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(dollar) = rest.find('$') {
        let (before, behind) = rest.split_at(dollar);
        out.push_str(before);
        let name = behind.get(1..).unwrap_or_default();
        let name = name.split(['$', '.', '|', ',', ' ']).next().unwrap_or_default();
        match variables.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, value)) => {
                out.push_str(value);
                rest = behind.get(1 + name.len()..).unwrap_or_default();
            }
            None => {
                out.push('$');
                rest = behind.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_ossec_reads_them() {
        let text = "<!-- one - two -- three -->\nstray <var name=\"WORDS\">bad|worse</var>\n<group name='a,'>\n  <rule id=\"1\"\n level = \"2\">\
                    <match>$words</match><!-- x --><regex>a & b\\<c> $|d$</regex><same_id /><if_fts></if_fts></rule> text\n</group> <!-- end !>\n<group name=\"b\"></group>";
        let elements = read(text).unwrap();
        assert_eq!(elements.len(), 2);
        let rule = &elements[0].children[0];
        assert_eq!((rule.name.as_str(), rule.attribute("level"), rule.line), ("rule", Some("2"), 4));
        let options: Vec<_> = rule.children.iter().map(|option| (option.name.as_str(), option.text.as_str())).collect();
        assert_eq!(options, [("match", "bad|worse"), ("regex", "a & b\\<c> $|d$"), ("same_id", ""), ("if_fts", "")]);
    }

    #[test]
    fn blanks_count_and_entities_mean_what_they_say() {
        let elements = read("<a> x\t</a><b>&lt;&amp;lt; &c</b>").unwrap();
        assert_eq!((elements[0].text.as_str(), elements[1].text.as_str()), (" x\t", "<&lt; &c"));
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        for (text, line, word) in [
            ("<a>\n<b>\n</a>", 3, "closed by"),
            ("\n<a>", 2, "never closed"),
            ("\n\n</a>", 3, "never opened"),
            ("<a b>", 1, "no value"),
            ("x <!-- y\n", 1, "comment"),
            ("<a b='1' b='2'></a>", 1, "twice"),
            ("<a>1 < 2</a>", 1, "without a name"),
        ] {
            let fault = read(text).unwrap_err();
            assert_eq!(fault.line, line, "{text}");
            assert!(fault.message.contains(word), "{text}: {}", fault.message);
        }
        assert!(read(&"<a>".repeat(100)).unwrap_err().message.contains("too deep"));
    }
}
