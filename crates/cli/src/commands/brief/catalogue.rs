//! The words of the brief, in every language it speaks. Words in braces are filled in.

/// A language.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Language {
    /// English.
    En,
    /// Japanese.
    Ja,
}

impl Language {
    /// Its words.
    pub fn catalogue(self) -> &'static Catalogue {
        match self {
            Language::En => &ENGLISH,
            Language::Ja => &JAPANESE,
        }
    }
}

/// One language. A missing text does not build.
#[allow(missing_docs)] // the English text says what each is
pub struct Catalogue {
    pub code: &'static str,
    pub title: &'static str,
    pub data: &'static str,
    pub real: &'static str,
    pub generated: &'static str,
    pub new: &'static str,
    pub nothing_new: &'static str,
    pub grew: &'static str,
    pub nothing_grew: &'static str,
    pub fell: &'static str,
    pub rise: &'static str,
    pub tomorrow: &'static str,
    pub expected: &'static str,
    pub interval: &'static str,
    pub no_interval: &'static str,
    pub too_short: &'static str,
    pub yesterday: &'static str,
    pub check: &'static str,
    pub within: &'static str,
    pub above: &'static str,
    pub below: &'static str,
    pub series: &'static str,
    pub plot: &'static str,
}

impl Catalogue {
    /// `real` or `generated` in this language.
    pub fn origin(&self, origin: &str) -> &'static str {
        if origin == "generated" { self.generated } else { self.real }
    }
}

static ENGLISH: Catalogue = Catalogue {
    code: "en",
    title: "Brief for {day}",
    data: "Data",
    real: "real data",
    generated: "generated data",
    new: "New",
    nothing_new: "Nothing was seen for the first time in unusual numbers.",
    grew: "Grew",
    nothing_grew: "Nothing rose above what its history explains.",
    fell: "Fell",
    rise: "{count} packets, usually {usual}",
    tomorrow: "To expect on {day}",
    expected: "about {count}",
    interval: "{low} to {high} in four of five cases",
    no_interval: "no interval yet",
    too_short: "The history is too short for forecasts; two weeks are needed.",
    yesterday: "How the forecast for this day did",
    check: "expected {expected}, came {count}",
    within: "within the interval",
    above: "more than the interval allowed",
    below: "less than the interval allowed",
    series: "Series",
    plot: "Last eight weeks, and what is expected",
};

static JAPANESE: Catalogue = Catalogue {
    code: "ja",
    title: "{day} の日報",
    data: "データ",
    real: "実データ",
    generated: "生成データ",
    new: "新たに観測されたもの",
    nothing_new: "初めて目立って観測されたものはありません。",
    grew: "増えたもの",
    nothing_grew: "過去の推移で説明できない増加はありません。",
    fell: "減ったもの",
    rise: "{count} パケット（通常は {usual}）",
    tomorrow: "{day} の予測",
    expected: "約 {count}",
    interval: "80 % の予測区間は {low} から {high}",
    no_interval: "予測区間はまだありません",
    too_short: "履歴が短いため予測できません。二週間分が必要です。",
    yesterday: "この日の予測の結果",
    check: "予測 {expected}、実績 {count}",
    within: "予測区間内",
    above: "予測区間を上回る",
    below: "予測区間を下回る",
    series: "系列",
    plot: "直近八週間と予測",
};

#[cfg(test)]
mod tests {
    use super::*;

    /// The words in braces of a text.
    fn places(text: &str) -> Vec<&str> {
        let mut found: Vec<&str> = text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn languages_fill_in_the_same_words() {
        let (en, ja) = (Language::En.catalogue(), Language::Ja.catalogue());
        for (english, japanese) in [
            (en.title, ja.title),
            (en.rise, ja.rise),
            (en.tomorrow, ja.tomorrow),
            (en.expected, ja.expected),
            (en.interval, ja.interval),
            (en.check, ja.check),
        ] {
            assert_eq!(places(english), places(japanese));
            assert!(!places(english).is_empty(), "{english}");
        }
    }
}
