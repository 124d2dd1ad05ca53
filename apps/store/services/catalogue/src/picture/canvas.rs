//! Writes one SVG of 400 by 400 units: paints, shapes, and the few compound strokes all drawings share. It knows no products and no files.

use super::colour::{Choices, Colour, Palette, SHADE, WHITE};
use std::fmt::Write;

/// A stop of a gradient: where (0 to 1), which colour, how opaque (0 to 1).
pub type Stop = (f32, Colour, f32);

/// What is painted on a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Nothing.
    Plain,
    /// A few bands of different height.
    Bands,
    /// Fine vertical lines.
    Ribs,
    /// Rows of dots.
    Dots,
    /// Irregular specks, as in stoneware.
    Specks,
    /// The lower part dipped in another colour.
    Dip,
    /// Rows of waves.
    Waves,
    /// Small leaves.
    Leaves,
    /// Rows of zigzag.
    Zigzag,
}

/// A rectangle: left, top, width, height.
pub type Bounds = (f32, f32, f32, f32);

/// A picture being drawn.
pub struct Canvas {
    /// Its colours.
    pub palette: Palette,
    /// Its choices.
    pub choices: Choices,
    definitions: String,
    body: String,
    prefix: String,
    named: u32,
}

// `write!` to a String cannot fail; the macro keeps that promise in one place.
macro_rules! draw {
    ($to:expr, $($text:tt)*) => { let _infallible = write!($to, $($text)*); };
}

impl Canvas {
    /// An empty picture. `prefix` makes its inner names unique, so that two pictures can share a page.
    pub fn new(palette: Palette, choices: Choices, prefix: String) -> Canvas {
        Canvas { palette, choices, definitions: String::new(), body: String::new(), prefix, named: 0 }
    }

    /// The finished file. `title` is read to people who cannot see it.
    pub fn finish(self, title: &str) -> String {
        let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 400 400\" width=\"800\" height=\"800\" role=\"img\">\
             <title>{title}</title><defs>{}</defs>{}</svg>\n",
            self.definitions, self.body
        )
    }

    fn name(&mut self) -> String {
        self.named += 1;
        format!("{}{}", self.prefix, self.named)
    }

    fn stops(stops: &[Stop]) -> String {
        let mut text = String::new();
        for (offset, colour, opacity) in stops {
            draw!(text, "<stop offset=\"{offset:.2}\" stop-color=\"{}\"", colour.css());
            if *opacity < 1.0 {
                draw!(text, " stop-opacity=\"{opacity:.2}\"");
            }
            text.push_str("/>");
        }
        text
    }

    /// A paint that runs from left to right of what it fills.
    pub fn across(&mut self, stops: &[Stop]) -> String {
        let name = self.name();
        draw!(self.definitions, "<linearGradient id=\"{name}\">{}</linearGradient>", Self::stops(stops));
        format!("url(#{name})")
    }

    /// A paint that runs from top to bottom of what it fills.
    pub fn down(&mut self, stops: &[Stop]) -> String {
        let name = self.name();
        draw!(
            self.definitions,
            "<linearGradient id=\"{name}\" x2=\"0\" y2=\"1\">{}</linearGradient>",
            Self::stops(stops)
        );
        format!("url(#{name})")
    }

    /// A paint that runs from the middle outward.
    pub fn outward(&mut self, stops: &[Stop]) -> String {
        let name = self.name();
        draw!(self.definitions, "<radialGradient id=\"{name}\">{}</radialGradient>", Self::stops(stops));
        format!("url(#{name})")
    }

    /// Fills a path.
    pub fn fill(&mut self, path: &str, paint: &str) {
        draw!(self.body, "<path d=\"{path}\" fill=\"{paint}\"/>");
    }

    /// Fills a path, partly transparent.
    pub fn veil(&mut self, path: &str, colour: Colour, opacity: f32) {
        draw!(self.body, "<path d=\"{path}\" fill=\"{}\" fill-opacity=\"{opacity:.2}\"/>", colour.css());
    }

    /// Draws along a path with round ends.
    pub fn line(&mut self, path: &str, colour: Colour, width: f32) {
        self.faint_line(path, colour, width, 1.0);
    }

    /// Draws along a path with round ends, partly transparent.
    pub fn faint_line(&mut self, path: &str, colour: Colour, width: f32, opacity: f32) {
        draw!(
            self.body,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width:.1}\" stroke-opacity=\"{opacity:.2}\" \
             stroke-linecap=\"round\" stroke-linejoin=\"round\"/>",
            colour.css()
        );
    }

    /// Fills an ellipse.
    pub fn ellipse(&mut self, x: f32, y: f32, rx: f32, ry: f32, paint: &str) {
        draw!(self.body, "<ellipse cx=\"{x:.1}\" cy=\"{y:.1}\" rx=\"{rx:.1}\" ry=\"{ry:.1}\" fill=\"{paint}\"/>");
    }

    /// Fills a rectangle with round corners.
    pub fn block(&mut self, (x, y, width, height): Bounds, radius: f32, paint: &str) {
        draw!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius:.1}\" fill=\"{paint}\"/>"
        );
    }

    /// Draws only inside a path.
    pub fn inside(&mut self, path: &str, drawing: impl FnOnce(&mut Canvas)) {
        let name = self.name();
        draw!(self.definitions, "<clipPath id=\"{name}\"><path d=\"{path}\"/></clipPath>");
        draw!(self.body, "<g clip-path=\"url(#{name})\">");
        drawing(self);
        self.body.push_str("</g>");
    }

    /// Draws turned by some degrees about a point.
    pub fn turned(&mut self, degrees: f32, x: f32, y: f32, drawing: impl FnOnce(&mut Canvas)) {
        draw!(self.body, "<g transform=\"rotate({degrees:.1} {x:.1} {y:.1})\">");
        drawing(self);
        self.body.push_str("</g>");
    }

    /// A soft shadow on the ground.
    pub fn shadow(&mut self, x: f32, y: f32, rx: f32, ry: f32) {
        let tone = self.palette.ground.darker(0.75);
        let paint = self.outward(&[(0.0, tone, 0.55), (0.55, tone, 0.30), (1.0, tone, 0.0)]);
        self.ellipse(x, y, rx, ry, &paint);
    }

    /// A glow around a light.
    pub fn glow(&mut self, x: f32, y: f32, radius: f32) {
        let tone = self.palette.sun;
        let paint =
            self.outward(&[(0.0, tone.lighter(0.5), 0.85), (0.35, tone, 0.38), (0.7, tone, 0.10), (1.0, tone, 0.0)]);
        self.ellipse(x, y, radius, radius, &paint);
    }

    /// A round, solid thing: colour, then its pattern, then light from the left.
    pub fn solid(&mut self, path: &str, bounds: Bounds, colour: Colour, pattern: Pattern) {
        self.fill(path, &colour.css());
        if pattern != Pattern::Plain {
            self.inside(path, |canvas| canvas.pattern(bounds, colour, pattern));
        }
        let light = self.across(&[
            (0.0, WHITE, 0.10),
            (0.22, WHITE, 0.30),
            (0.45, WHITE, 0.0),
            (0.70, SHADE, 0.06),
            (1.0, SHADE, 0.30),
        ]);
        self.fill(path, &light);
    }

    /// A flat thing: colour, then its pattern, then a little light from above.
    pub fn flat(&mut self, path: &str, bounds: Bounds, colour: Colour, pattern: Pattern) {
        self.fill(path, &colour.css());
        if pattern != Pattern::Plain {
            self.inside(path, |canvas| canvas.pattern(bounds, colour, pattern));
        }
        let light = self.down(&[(0.0, WHITE, 0.16), (0.5, WHITE, 0.0), (1.0, SHADE, 0.16)]);
        self.fill(path, &light);
    }

    /// A wooden bar or leg.
    pub fn wood(&mut self, path: &str, share: f32) {
        let wood = Colour::hex(0xb98a5e).mix(self.palette.dark, share);
        let paint = self.across(&[(0.0, wood.lighter(0.18), 1.0), (0.5, wood, 1.0), (1.0, wood.darker(0.28), 1.0)]);
        self.fill(path, &paint);
    }

    fn pattern(&mut self, bounds: Bounds, ground: Colour, pattern: Pattern) {
        let ink = if self.palette.second == ground { self.palette.main } else { self.palette.second };
        match pattern {
            Pattern::Plain => {}
            Pattern::Bands => self.bands(bounds, ink),
            Pattern::Ribs => self.ribs(bounds, ground.darker(0.35)),
            Pattern::Dots => self.dots(bounds, ink),
            Pattern::Specks => self.specks(bounds, ground.darker(0.55), ground.lighter(0.5)),
            Pattern::Dip => self.dip(bounds, ink),
            Pattern::Waves => self.rows(bounds, ink, 20.0, |x, y| format!("M{x:.1},{y:.1} q6,-9 12,0 t12,0")),
            Pattern::Zigzag => self.rows(bounds, ink, 22.0, |x, y| format!("M{x:.1},{y:.1} l6,-10 6,10 6,-10 6,10")),
            Pattern::Leaves => self.leaves(bounds, ink),
        }
    }

    fn bands(&mut self, (x, y, width, height): Bounds, ink: Colour) {
        let mut top = y + height * self.choices.between(0.16, 0.30);
        while top < y + height * 0.85 {
            let thick = self.choices.one_of(&[3.0, 5.0, 9.0, 14.0]);
            self.block((x, top, width, thick), 0.0, &ink.css());
            top += thick + self.choices.between(7.0, 18.0);
        }
    }

    fn ribs(&mut self, (x, y, width, height): Bounds, ink: Colour) {
        let mut at = x + 5.0;
        while at < x + width {
            self.faint_line(&format!("M{at:.1},{y:.1} v{height:.1}"), ink, 2.0, 0.35);
            at += 9.0;
        }
    }

    fn dots(&mut self, (x, y, width, height): Bounds, ink: Colour) {
        let step = self.choices.between(17.0, 24.0);
        let radius = step * 0.19;
        let (mut row, mut top) = (0, y + step * 0.7);
        while top < y + height {
            let mut at = x + if row % 2 == 0 { step * 0.3 } else { step * 0.8 };
            while at < x + width {
                self.ellipse(at, top, radius, radius, &ink.css());
                at += step;
            }
            row += 1;
            top += step * 0.72;
        }
    }

    fn specks(&mut self, (x, y, width, height): Bounds, deep: Colour, pale: Colour) {
        for index in 0..90 {
            let left = self.choices.between(x, x + width);
            let top = self.choices.between(y, y + height);
            let radius = self.choices.between(0.5, 1.9);
            let ink = if index % 3 == 0 { pale } else { deep };
            self.ellipse(left, top, radius, radius * 0.85, &ink.css());
        }
    }

    fn dip(&mut self, (x, y, width, height): Bounds, ink: Colour) {
        let edge = y + height * self.choices.between(0.48, 0.64);
        let bottom = y + height + 4.0;
        let right = x + width;
        let (a, b) = (self.choices.between(4.0, 11.0), self.choices.between(-10.0, -3.0));
        let path = format!(
            "M{x:.1},{edge:.1} C{:.1},{:.1} {:.1},{:.1} {right:.1},{edge:.1} V{bottom:.1} H{x:.1} Z",
            x + width * 0.33,
            edge + a,
            x + width * 0.66,
            edge + b
        );
        self.fill(&path, &ink.css());
    }

    fn rows(&mut self, (x, y, width, height): Bounds, ink: Colour, step: f32, unit: impl Fn(f32, f32) -> String) {
        let mut top = y + step * 0.9;
        while top < y + height {
            let mut at = x - 4.0;
            while at < x + width {
                self.line(&unit(at, top), ink, 3.0);
                at += 24.0;
            }
            top += step;
        }
    }

    fn leaves(&mut self, (x, y, width, height): Bounds, ink: Colour) {
        let (mut row, mut top) = (0, y + 18.0);
        while top < y + height {
            let mut at = x + if row % 2 == 0 { 8.0 } else { 22.0 };
            while at < x + width {
                let lean = self.choices.between(-40.0, 40.0);
                self.turned(lean, at, top, |canvas| {
                    let leaf = format!("M{at:.1},{:.1} q-7,9 0,18 q7,-9 0,-18 Z", top - 9.0);
                    canvas.fill(&leaf, &ink.css());
                    canvas.faint_line(&format!("M{at:.1},{:.1} v14", top - 6.0), ink.darker(0.4), 0.9, 0.7);
                });
                at += 28.0;
            }
            row += 1;
            top += 24.0;
        }
    }
}
