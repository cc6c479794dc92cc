//! Words for people, in each language, from catalogue files. A test holds the catalogues to the same keys.

use noroshi_model::member::Language;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// All words of one language, by `section.key`.
#[derive(Clone, Debug)]
pub struct Catalogue {
    words: BTreeMap<String, String>,
    lists: BTreeMap<String, Vec<String>>,
}

static EN: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::read(include_str!("../catalogues/en.toml")));
static JA: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::read(include_str!("../catalogues/ja.toml")));

/// The catalogue of a language.
pub fn of(language: Language) -> &'static Catalogue {
    match language {
        Language::En => &EN,
        Language::Ja => &JA,
    }
}

impl Catalogue {
    /// Built-in text; a test reads every file, so what cannot be read never ships.
    fn read(text: &str) -> Self {
        let mut catalogue = Catalogue { words: BTreeMap::new(), lists: BTreeMap::new() };
        let table: toml::Table = text.parse().unwrap_or_default();
        for (section, entries) in &table {
            let Some(entries) = entries.as_table() else { continue };
            for (key, value) in entries {
                let name = format!("{section}.{key}");
                if let Some(text) = value.as_str() {
                    catalogue.words.insert(name, text.to_owned());
                } else if let Some(items) = value.as_array() {
                    let items = items.iter().filter_map(|i| i.as_str().map(str::to_owned)).collect();
                    catalogue.lists.insert(name, items);
                }
            }
        }
        catalogue
    }

    /// The text of a key; the key itself where it is missing, so that a gap is seen and nothing fails.
    pub fn say(&self, key: &str) -> String {
        self.words.get(key).cloned().unwrap_or_else(|| key.to_owned())
    }

    /// The text of a key with its words in braces filled in.
    pub fn fill(&self, key: &str, values: &[(&str, &str)]) -> String {
        let template = self.say(key);
        let mut out = String::with_capacity(template.len() + 32);
        let mut rest = template.as_str();
        // One pass, so that braces inside a value stay what they are.
        while let Some(open) = rest.find('{') {
            let Some(close) = rest[open..].find('}') else { break };
            let name = &rest[open + 1..open + close];
            out.push_str(&rest[..open]);
            match values.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => out.push_str(value),
                None => out.push_str(&rest[open..=open + close]),
            }
            rest = &rest[open + close + 1..];
        }
        out.push_str(rest);
        out
    }

    /// The items of a list.
    pub fn list(&self, key: &str) -> &[String] {
        self.lists.get(key).map_or(&[], Vec::as_slice)
    }

    /// Every key.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.words.keys().chain(self.lists.keys()).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|part| part.split('}').next()).collect()
    }

    #[test]
    fn catalogues_have_the_same_keys_and_placeholders() {
        let keys = |language| of(language).keys().collect::<BTreeSet<_>>();
        assert!(keys(Language::En).len() > 50);
        for language in Language::ALL {
            assert_eq!(keys(Language::En), keys(*language), "{language}");
            for (key, text) in &of(*language).words {
                assert_eq!(placeholders(text), placeholders(&of(Language::En).words[key]), "{language} {key}");
                assert!(!text.trim().is_empty(), "{language} {key}");
            }
            for (key, items) in &of(*language).lists {
                assert_eq!(items.len(), of(Language::En).lists[key].len(), "{language} {key}");
            }
        }
    }

    #[test]
    fn braces_in_values_stay() {
        let text = of(Language::En).fill("lead.test", &[("member", "{tlp}")]);
        assert!(text.contains("{tlp}"));
        assert_eq!(of(Language::En).say("no.such"), "no.such");
    }
}
