//! Words from their neighbours: skip-gram with negative sampling.
//!
//! Mikolov et al., "Distributed Representations of Words and Phrases and their Compositionality" (NIPS, 2013), without
//! subsampling of frequent words. Each step of a sentence draws its window from 1 to the largest, as their program does;
//! noise words are drawn by frequency to the power 3/4; the rate of learning falls linearly. One thread and an own
//! generator: the same sentences and seed give the same vectors. New words can be added and training goes on, which is
//! how i-DarkVec follows the senders of a darknet day by day (Gioacchini et al., "i-DarkVec: Incremental Embeddings for
//! Darknet Traffic Analysis", ACM TOIT 2023).

/// Settings; the default is i-DarkVec's with the small window.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Values per word.
    pub width: usize,
    /// Words to each side that count as neighbours.
    pub window: usize,
    /// Noise words per neighbour.
    pub negative: usize,
    /// Passes over the sentences.
    pub epochs: usize,
    /// First rate of learning; it falls to [`RATE_LEAST`].
    pub rate: f32,
    /// Seed of the generator.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { width: 50, window: 5, negative: 5, epochs: 20, rate: 0.025, seed: 1 }
    }
}

/// Rate of learning at the end of training.
pub const RATE_LEAST: f32 = 1e-4;
/// Beyond this the sigmoid is 0 or 1.
const EXPONENT_MAX: f32 = 12.0;

/// Vectors of words 0, 1, 2, …
#[derive(Clone, PartialEq, Debug)]
pub struct Embedding {
    settings: Settings,
    /// Word vectors, one after the other.
    words: Vec<f32>,
    /// Vectors of words as neighbours.
    contexts: Vec<f32>,
    /// Times that each word was seen in training.
    counts: Vec<u64>,
    state: u64,
}

impl Embedding {
    /// Without a word. Settings of zero become one.
    pub fn new(settings: Settings) -> Self {
        let settings = Settings {
            width: settings.width.clamp(1, 1_024),
            window: settings.window.clamp(1, 1_000),
            negative: settings.negative.clamp(1, 100),
            epochs: settings.epochs.clamp(1, 1_000),
            rate: if settings.rate.is_finite() { settings.rate.clamp(RATE_LEAST, 1.0) } else { 0.025 },
            seed: settings.seed,
        };
        Embedding { settings, words: Vec::new(), contexts: Vec::new(), counts: Vec::new(), state: settings.seed }
    }

    /// Values per word.
    pub fn width(&self) -> usize {
        self.settings.width
    }

    /// Words known.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether no word is known.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The vector of a word; `None` for one never seen.
    pub fn vector(&self, word: u32) -> Option<&[f32]> {
        self.words.chunks_exact(self.settings.width).nth(word as usize)
    }

    /// All vectors, one after the other.
    pub fn vectors(&self) -> &[f32] {
        &self.words
    }

    /// Learns from sentences; words not known before get a vector first, others go on from theirs.
    pub fn train(&mut self, sentences: &[Vec<u32>]) {
        self.add_words(sentences);
        let noise = Noise::new(&self.counts);
        let tokens: usize = sentences.iter().map(Vec::len).sum();
        let all = (tokens * self.settings.epochs).max(1) as f32;
        let mut done = 0;
        let mut change = vec![0.0; self.settings.width];
        for _ in 0..self.settings.epochs {
            for sentence in sentences {
                let rate = (self.settings.rate * (1.0 - done as f32 / all)).max(RATE_LEAST);
                self.learn(sentence, &noise, rate, &mut change);
                done += sentence.len();
            }
        }
    }

    fn add_words(&mut self, sentences: &[Vec<u32>]) {
        let most = sentences.iter().flatten().max().map_or(0, |word| *word as usize + 1).max(self.counts.len());
        self.counts.resize(most, 0);
        sentences.iter().flatten().for_each(|word| self.counts[*word as usize] += 1);
        let width = self.settings.width;
        while self.words.len() < most * width {
            let value = (uniform(&mut self.state) as f32 - 0.5) / width as f32;
            self.words.push(value);
        }
        self.contexts.resize(most * width, 0.0);
    }

    fn learn(&mut self, sentence: &[u32], noise: &Noise, rate: f32, change: &mut [f32]) {
        for (at, &centre) in sentence.iter().enumerate() {
            let window = 1 + (next(&mut self.state) % self.settings.window as u64) as usize;
            let before = &sentence[at.saturating_sub(window)..at];
            let after = &sentence[at + 1..(at + window + 1).min(sentence.len())];
            for &neighbour in before.iter().chain(after) {
                // As in the authors' program, the neighbour's vector learns to foretell the centre.
                self.pair(neighbour, centre, noise, rate, change);
            }
        }
    }

    /// One step of gradient: `word` shall go with `target` and not with noise.
    fn pair(&mut self, word: u32, target: u32, noise: &Noise, rate: f32, change: &mut [f32]) {
        let width = self.settings.width;
        let from = word as usize * width;
        change.fill(0.0);
        for sample in 0..=self.settings.negative {
            let (other, label) = if sample == 0 { (target, 1.0) } else { (noise.draw(&mut self.state), 0.0) };
            if sample > 0 && other == target {
                continue;
            }
            let context = &mut self.contexts[other as usize * width..][..width];
            let vector = &self.words[from..from + width];
            let step = rate * (label - sigmoid(dot(vector, context)));
            for ((change, context), value) in change.iter_mut().zip(context.iter_mut()).zip(vector) {
                *change += step * *context;
                *context += step * value;
            }
        }
        self.words[from..from + width].iter_mut().zip(change.iter()).for_each(|(value, change)| *value += change);
    }
}

/// Eight sums at once, so that the compiler may use wide registers.
#[inline]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in left.zip(right) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[inline]
fn sigmoid(exponent: f32) -> f32 {
    1.0 / (1.0 + (-exponent.clamp(-EXPONENT_MAX, EXPONENT_MAX)).exp())
}

/// Words by frequency to the power 3/4: the alias method of Walker (1977).
struct Noise {
    keep: Vec<f32>,
    alias: Vec<u32>,
}

impl Noise {
    fn new(counts: &[u64]) -> Self {
        let weights: Vec<f64> = counts.iter().map(|count| (*count as f64).powf(0.75)).collect();
        let total: f64 = weights.iter().sum();
        let count = weights.len();
        let mut scaled: Vec<f64> = weights.iter().map(|weight| weight * count as f64 / total).collect();
        let mut noise = Noise { keep: vec![1.0; count], alias: (0..count as u32).collect() };
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..count).partition(|&index| scaled[index] < 1.0);
        while let (Some(less), Some(&more)) = (small.pop(), large.last()) {
            noise.keep[less] = scaled[less] as f32;
            noise.alias[less] = more as u32;
            scaled[more] -= 1.0 - scaled[less];
            if scaled[more] < 1.0 {
                large.pop();
                small.push(more);
            }
        }
        noise
    }

    #[inline]
    fn draw(&self, state: &mut u64) -> u32 {
        let random = next(state);
        let slot = (((random >> 32) * self.keep.len() as u64) >> 32) as usize;
        let coin = (random & 0xff_ffff) as f32 / 16_777_216.0;
        if coin < self.keep[slot] { slot as u32 } else { self.alias[slot] }
    }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// From 0 to 1, 1 excluded.
pub(crate) fn uniform(state: &mut u64) -> f64 {
    (next(state) >> 11) as f64 / (1_u64 << 53) as f64
}
