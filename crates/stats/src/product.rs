//! Products of a large table with thin factors, many times over: the table is packed once into panels that the
//! registers take whole (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008).

use crate::wide::{self, Loop, multiply_add};
use nalgebra::DMatrix;

/// Lines of a panel.
const PANEL: usize = 32;
/// Columns of a factor that one tile of registers covers: 32 × 6 values are 24 registers of eight, 8 × 6 twelve of four.
const TILE: usize = 6;
/// Places along the lines that are worked on at once: with a factor of 30 columns 24 KiB, of a nearest cache of 32.
const DEPTH: usize = 48;

/// A matrix in panels of [`PANEL`] lines: for each place along the line, the values of the panel's lines side by side.
pub(crate) struct Panels {
    lines: usize,
    depth: usize,
    data: Vec<[f64; PANEL]>,
}

impl Panels {
    /// Lines are rows.
    pub(crate) fn of_rows(values: &DMatrix<f64>) -> Self {
        Panels::new(values.nrows(), values.ncols(), |line, place| values[(line, place)])
    }

    /// Lines are columns.
    pub(crate) fn of_columns(values: &DMatrix<f64>) -> Self {
        Panels::new(values.ncols(), values.nrows(), |line, place| values[(place, line)])
    }

    fn new(lines: usize, depth: usize, value: impl Fn(usize, usize) -> f64) -> Self {
        let mut data = vec![[0.0; PANEL]; lines.div_ceil(PANEL) * depth];
        for (number, panel) in data.chunks_exact_mut(depth.max(1)).enumerate() {
            let first = number * PANEL;
            for (place, side) in panel.iter_mut().enumerate() {
                for (line, cell) in (first..lines).zip(side) {
                    *cell = value(line, place);
                }
            }
        }
        Panels { lines, depth, data }
    }

    /// The matrix times the factor, which has a row for each place along the lines.
    pub(crate) fn times(&self, factor: &Rows, out: &mut Rows) {
        out.clear(self.lines, factor.width);
        #[cfg(target_arch = "x86_64")]
        if x86::times(self, factor, out) {
            return;
        }
        self.tiles(factor, out, tile);
    }

    /// Walks the tiles of the product: `tile` adds its part to the sums of a tile, one list of lines per column. Parts are
    /// as deep as the nearest cache holds, so that all tiles of a panel find them there.
    #[inline(always)]
    fn tiles<const WIDTH: usize>(
        &self,
        factor: &Rows,
        out: &mut Rows,
        tile: impl Fn(Part<'_>, &mut [[f64; WIDTH]; TILE]),
    ) {
        let width = factor.width.max(1);
        let groups = factor.width / TILE;
        let factor = factor.data.as_chunks().0;
        let mut all = vec![[[0.0; WIDTH]; TILE]; groups * (PANEL / WIDTH)];
        let panels = self.data.chunks_exact(self.depth.max(1));
        for (panel, out) in panels.zip(out.data.chunks_mut(PANEL * width)) {
            all.fill([[0.0; WIDTH]; TILE]);
            for (panel, factor) in panel.chunks(DEPTH).zip(factor.chunks(DEPTH * groups.max(1))) {
                for (number, sums) in all.iter_mut().enumerate() {
                    let (line, group) = (number / groups * WIDTH, number % groups);
                    tile(Part { panel, line, factor, groups, group }, sums);
                }
            }
            for (number, sums) in all.iter().enumerate() {
                let (line, group) = (number / groups * WIDTH, number % groups);
                for (lane, row) in out.chunks_exact_mut(width).skip(line).take(WIDTH).enumerate() {
                    for (value, sums) in row[group * TILE..][..TILE].iter_mut().zip(sums) {
                        *value = sums[lane];
                    }
                }
            }
        }
    }
}

/// Rows of a factor one after the other, filled up with zeros to a multiple of [`TILE`] columns.
#[derive(Clone, Default, Debug)]
pub(crate) struct Rows {
    width: usize,
    data: Vec<f64>,
}

impl Rows {
    pub(crate) fn of(matrix: &DMatrix<f64>) -> Self {
        let width = matrix.ncols().next_multiple_of(TILE);
        let mut data = vec![0.0; matrix.nrows() * width];
        for (number, row) in data.chunks_exact_mut(width.max(1)).enumerate() {
            row.iter_mut().zip(matrix.row(number).iter()).for_each(|(to, from)| *to = *from);
        }
        Rows { width, data }
    }

    /// The first `columns` columns.
    pub(crate) fn matrix(&self, columns: usize) -> DMatrix<f64> {
        DMatrix::from_fn(self.data.len() / self.width.max(1), columns, |row, column| {
            self.data[row * self.width + column]
        })
    }

    fn clear(&mut self, rows: usize, width: usize) {
        self.width = width;
        self.data.clear();
        self.data.resize(rows * width, 0.0);
    }

    /// Products of all pairs of columns, row by row.
    pub(crate) fn gram(&self) -> Vec<f64> {
        wide::run(Gram(self))
    }

    /// Sum of the products of equal places.
    pub(crate) fn dot(&self, other: &Rows) -> f64 {
        self.data.iter().zip(&other.data).map(|(a, b)| a * b).sum()
    }

    /// Multiplies each value by that of `above` over that of (these rows × `gram`), which is no less than `least`.
    pub(crate) fn scale(&mut self, above: &Rows, gram: &[f64], least: f64) {
        wide::run(Scale { rows: self, above, gram, least });
    }
}

/// What one tile is computed from.
#[derive(Clone, Copy)]
struct Part<'a> {
    panel: &'a [[f64; PANEL]],
    line: usize,
    /// The factor in groups of [`TILE`] columns, `groups` to a row.
    factor: &'a [[f64; TILE]],
    groups: usize,
    group: usize,
}

/// For any processor.
#[inline(always)]
fn tile(part: Part<'_>, sums: &mut [[f64; 4]; TILE]) {
    for place in 0..part.panel.len() {
        let side = &part.panel[place][part.line..][..4];
        let weights = &part.factor[place * part.groups + part.group];
        for column in 0..TILE {
            for lane in 0..4 {
                sums[column][lane] += side[lane] * weights[column];
            }
        }
    }
}

/// The compiler does not keep a tile this large in registers by itself, so these two say it with the processor's own words.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use super::{PANEL, Panels, Part, Rows, TILE};
    use crate::wide;
    use std::arch::x86_64::{
        __m256d, __m512d, _mm256_add_pd, _mm256_fmadd_pd, _mm256_loadu_pd, _mm256_set1_pd, _mm256_setzero_pd,
        _mm256_storeu_pd, _mm512_add_pd, _mm512_fmadd_pd, _mm512_loadu_pd, _mm512_set1_pd, _mm512_setzero_pd,
        _mm512_storeu_pd,
    };

    macro_rules! kernel {
        ($name:ident, $features:literal, $lanes:literal, $registers:literal, $register:ty,
         $zero:ident, $load:ident, $all:ident, $fused:ident, $add:ident, $store:ident) => {
            #[target_feature(enable = $features)]
            fn $name(panels: &Panels, factor: &Rows, out: &mut Rows) {
                const WIDTH: usize = $lanes * $registers;
                #[target_feature(enable = $features)]
                fn tile(part: Part<'_>, out: &mut [[f64; WIDTH]; TILE]) {
                    let mut sums: [[$register; $registers]; TILE] = [[$zero(); $registers]; TILE];
                    let fits = part.line + WIDTH <= PANEL && part.group < part.groups;
                    assert!(fits && part.factor.len() >= part.panel.len() * part.groups);
                    let sides = part.panel.as_ptr();
                    let rows = part.factor.as_ptr();
                    for place in 0..part.panel.len() {
                        // SAFETY: the group is one of `groups`, and there are so many for each place, as just asserted. A
                        // check or a call in this loop would make the compiler keep the sums in memory.
                        let (side, weights) =
                            unsafe { (&*sides.add(place), &*rows.add(place * part.groups + part.group)) };
                        let mut values = [$zero(); $registers];
                        for at in 0..$registers {
                            // SAFETY: `side` has WIDTH values from the line on, as just asserted.
                            values[at] = unsafe { $load(side.as_ptr().add(part.line + at * $lanes)) };
                        }
                        for column in 0..TILE {
                            let weight = $all(weights[column]);
                            for at in 0..$registers {
                                sums[column][at] = $fused(values[at], weight, sums[column][at]);
                            }
                        }
                    }
                    for column in 0..TILE {
                        for at in 0..$registers {
                            // SAFETY: `out` has WIDTH values, of which these are `$lanes` from a multiple of it.
                            unsafe {
                                let to = out[column].as_mut_ptr().add(at * $lanes);
                                $store(to, $add($load(to), sums[column][at]));
                            }
                        }
                    }
                }
                panels.tiles(factor, out, |part, sums| tile(part, sums));
            }
        };
    }

    kernel!(
        times_512,
        "avx512f",
        8,
        4,
        __m512d,
        _mm512_setzero_pd,
        _mm512_loadu_pd,
        _mm512_set1_pd,
        _mm512_fmadd_pd,
        _mm512_add_pd,
        _mm512_storeu_pd
    );
    kernel!(
        times_256,
        "avx2,fma",
        4,
        2,
        __m256d,
        _mm256_setzero_pd,
        _mm256_loadu_pd,
        _mm256_set1_pd,
        _mm256_fmadd_pd,
        _mm256_add_pd,
        _mm256_storeu_pd
    );

    /// Whether the processor can.
    pub(super) fn times(panels: &Panels, factor: &Rows, out: &mut Rows) -> bool {
        if !wide::has_512() {
            return narrow_times(panels, factor, out);
        }
        // SAFETY: the processor has the features of the function.
        unsafe { times_512(panels, factor, out) };
        true
    }

    /// As [`times`], with the smaller registers.
    pub(super) fn narrow_times(panels: &Panels, factor: &Rows, out: &mut Rows) -> bool {
        if !wide::has_256() {
            return false;
        }
        // SAFETY: as above.
        unsafe { times_256(panels, factor, out) };
        true
    }
}

struct Gram<'a>(&'a Rows);

impl Loop for Gram<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<const WIDTH: usize, const FUSED: bool>(self) -> Vec<f64> {
        let width = self.0.width;
        let mut gram = vec![0.0; width * width];
        for row in self.0.data.chunks_exact(width.max(1)) {
            for (sums, weight) in gram.chunks_exact_mut(width).zip(row) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum = multiply_add::<FUSED>(*weight, *value, *sum);
                }
            }
        }
        gram
    }
}

struct Scale<'a> {
    rows: &'a mut Rows,
    above: &'a Rows,
    gram: &'a [f64],
    least: f64,
}

impl Loop for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const WIDTH: usize, const FUSED: bool>(self) {
        let width = self.rows.width.max(1);
        let mut below = vec![0.0; width];
        for (row, above) in self.rows.data.chunks_exact_mut(width).zip(self.above.data.chunks_exact(width)) {
            below.fill(0.0);
            for (weights, own) in self.gram.chunks_exact(width).zip(row.iter()) {
                for (sum, weight) in below.iter_mut().zip(weights) {
                    *sum = multiply_add::<FUSED>(*own, *weight, *sum);
                }
            }
            for ((value, above), below) in row.iter_mut().zip(above).zip(&below) {
                *value *= above / below.max(self.least);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes that do not fill panels, tiles and depths, each way of computing beside nalgebra's product.
    #[test]
    fn products_as_nalgebra() {
        for (lines, depth, columns) in [(1, 1, 1), (31, 49, 6), (70, 97, 7), (33, 200, 30)] {
            let value = |row: usize, column: usize| ((row * 31 + column * 17) % 23) as f64 - 7.0;
            let (left, right) = (DMatrix::from_fn(lines, depth, value), DMatrix::from_fn(depth, columns, value));
            let (rows, transposed) = (Panels::of_rows(&left), Panels::of_columns(&left.transpose()));
            let factor = Rows::of(&right);
            let mut out = Rows::default();
            // Sums of small whole numbers are exact in any order.
            rows.times(&factor, &mut out);
            assert_eq!(out.matrix(columns), &left * &right);
            transposed.times(&factor, &mut out);
            assert_eq!(out.matrix(columns), &left * &right);
            out.clear(lines, factor.width);
            rows.tiles(&factor, &mut out, tile);
            assert_eq!(out.matrix(columns), &left * &right);
            #[cfg(target_arch = "x86_64")]
            {
                out.clear(lines, factor.width);
                if x86::narrow_times(&rows, &factor, &mut out) {
                    assert_eq!(out.matrix(columns), &left * &right);
                }
            }
            let gram = DMatrix::from_row_slice(factor.width, factor.width, &factor.gram());
            assert_eq!(gram.view((0, 0), (columns, columns)), right.tr_mul(&right));
        }
    }
}
