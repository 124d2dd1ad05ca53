//! Things to cook in, eat from and drink from.

use super::canvas::{Canvas, Pattern};
use super::colour::{Colour, SHADE, WHITE};

const GLAZES: [Pattern; 7] =
    [Pattern::Plain, Pattern::Bands, Pattern::Dots, Pattern::Specks, Pattern::Dip, Pattern::Waves, Pattern::Leaves];

fn rim(canvas: &mut Canvas, y: f32, rx: f32, ry: f32, inside: Colour) {
    let edge = canvas.palette.main.lighter(0.30);
    canvas.ellipse(200.0, y, rx, ry, &edge.css());
    let hollow = canvas.down(&[(0.0, inside.darker(0.38), 1.0), (1.0, inside, 1.0)]);
    canvas.ellipse(200.0, y + 0.8, rx - 5.0, (ry - 2.6).max(1.0), &hollow);
}

fn steam(canvas: &mut Canvas, x: f32, y: f32) {
    for (shift, height) in [(-20.0, 40.0), (2.0, 54.0), (24.0, 38.0)] {
        let (left, up) = (x + shift, height * 0.5);
        canvas.faint_line(&format!("M{left:.1},{y:.1} q-9,-{:.1} 0,-{up:.1} t0,-{up:.1}", up * 0.5), WHITE, 3.4, 0.55);
    }
}

/// A mug with a drink.
pub fn mug(canvas: &mut Canvas) {
    canvas.shadow(208.0, 321.0, 106.0, 16.0);
    let main = canvas.palette.main;
    canvas.line("M258,204 C318,196 314,290 250,284", main.darker(0.22), 17.0);
    canvas.faint_line("M259,201 C310,194 310,286 252,281", main.lighter(0.35), 4.0, 0.6);
    let glaze = canvas.choices.one_of(&GLAZES);
    let body = "M134,176 L266,176 L258,296 Q256,322 232,322 L168,322 Q144,322 142,296 Z";
    canvas.solid(body, (134.0, 176.0, 132.0, 146.0), main, glaze);
    rim(canvas, 176.0, 66.0, 14.0, Colour::hex(0x6b4226));
    steam(canvas, 200.0, 156.0);
}

/// A small cup on its saucer.
pub fn cup(canvas: &mut Canvas) {
    let main = canvas.palette.main;
    canvas.shadow(204.0, 326.0, 132.0, 15.0);
    canvas.solid(
        "M92,306 H308 Q292,328 232,328 H168 Q108,328 92,306 Z",
        (92.0, 306.0, 216.0, 22.0),
        main.lighter(0.25),
        Pattern::Plain,
    );
    canvas.ellipse(200.0, 306.0, 108.0, 13.0, &main.lighter(0.42).css());
    canvas.ellipse(200.0, 307.0, 54.0, 6.0, &main.darker(0.06).css());
    canvas.line("M250,232 C296,224 290,282 244,278", main.darker(0.2), 12.0);
    let glaze = canvas.choices.one_of(&GLAZES);
    canvas.solid(
        "M142,214 H258 C258,270 244,306 220,306 H180 C156,306 142,270 142,214 Z",
        (142.0, 214.0, 116.0, 92.0),
        main,
        glaze,
    );
    rim(canvas, 214.0, 58.0, 12.0, Colour::hex(0x4a2d1c));
    canvas.faint_line("M170,217 q30,7 60,0", Colour::hex(0xc99b6a), 4.0, 0.7);
    steam(canvas, 200.0, 196.0);
}

/// An enamelled mug with a dark rim.
pub fn enamel(canvas: &mut Canvas) {
    canvas.shadow(206.0, 321.0, 96.0, 14.0);
    let (main, dark) = (canvas.palette.main, canvas.palette.dark);
    canvas.line("M254,206 C304,204 304,276 254,274", main.darker(0.12), 11.0);
    canvas.solid(
        "M142,186 H258 V310 Q258,322 244,322 H156 Q142,322 142,310 Z",
        (142.0, 186.0, 116.0, 136.0),
        main,
        Pattern::Specks,
    );
    rim(canvas, 186.0, 58.0, 12.0, main.lighter(0.7));
    canvas.faint_line("M142,186 a58,12 0 0 0 116,0", dark, 5.0, 1.0);
    canvas.faint_line("M143,312 q2,9 14,9 h86 q12,0 14,-9", dark, 3.0, 0.8);
    let badge = canvas.palette.second;
    canvas.fill("M176,276 l24,-38 12,18 8,-10 16,30 Z", &badge.css());
}

/// A bowl; `deep` ones serve many.
pub fn bowl(canvas: &mut Canvas, deep: bool) {
    let main = canvas.palette.main;
    let (half, top) = if deep { (126.0, 190.0) } else { (104.0, 214.0) };
    canvas.shadow(206.0, 322.0, half + 8.0, 16.0);
    canvas.solid("M166,308 H234 L228,323 H172 Z", (166.0, 308.0, 68.0, 15.0), main.darker(0.22), Pattern::Plain);
    let (left, right) = (200.0 - half, 200.0 + half);
    let body = format!(
        "M{left:.1},{top:.1} H{right:.1} C{right:.1},270 {:.1},314 230,314 H170 C{:.1},314 {left:.1},270 {left:.1},{top:.1} Z",
        right - 26.0,
        left + 26.0
    );
    let glaze = canvas.choices.one_of(&GLAZES);
    canvas.solid(&body, (left, top, half * 2.0, 314.0 - top), main, glaze);
    let inside = canvas.palette.second;
    rim(canvas, top, half, half * 0.17, inside);
    if deep {
        for (x, tone) in
            [(160.0, 0xd9603b_u32), (200.0, 0xe3b23c), (240.0, 0x7a9a4b), (180.0, 0x8fae5a), (222.0, 0xc94f3d)]
        {
            let fruit = Colour::hex(tone);
            let skin = canvas.outward(&[(0.0, fruit.lighter(0.35), 1.0), (1.0, fruit, 1.0)]);
            canvas.ellipse(x, top - 8.0, 25.0, 24.0, &skin);
        }
        let front = format!(
            "M{left:.1},{top:.1} a{half:.1},{:.1} 0 0 0 {:.1},0 v14 q-{half:.1},34 -{:.1},0 Z",
            half * 0.17,
            half * 2.0,
            half * 2.0
        );
        canvas.inside(&body, |canvas| canvas.fill(&front, &main.css()));
        canvas.faint_line(
            &format!("M{left:.1},{top:.1} a{half:.1},{:.1} 0 0 0 {:.1},0", half * 0.17, half * 2.0),
            main.lighter(0.35),
            4.0,
            1.0,
        );
    }
}

/// A stack of plates with one upright behind.
pub fn plate(canvas: &mut Canvas) {
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    canvas.shadow(204.0, 322.0, 136.0, 15.0);
    let face = canvas.outward(&[
        (0.0, main.lighter(0.22), 1.0),
        (0.62, main.lighter(0.1), 1.0),
        (0.66, main.darker(0.14), 1.0),
        (0.72, main, 1.0),
        (1.0, main.lighter(0.1), 1.0),
    ]);
    canvas.ellipse(200.0, 196.0, 104.0, 104.0, &face);
    canvas.faint_line("M200,100 a96,96 0 1 0 0.1,0", second, 3.5, 0.9);
    for index in 0..3 {
        let y = 312.0 - index as f32 * 11.0;
        let body = format!("M72,{:.1} H328 q-18,16 -70,16 H142 q-52,0 -70,-16 Z", y - 8.0);
        let tone = if index == 1 { second } else { main };
        canvas.solid(&body, (72.0, y - 8.0, 256.0, 16.0), tone, Pattern::Plain);
    }
    canvas.ellipse(200.0, 282.0, 128.0, 9.0, &main.lighter(0.3).css());
}

/// A lidded storage jar.
pub fn jar(canvas: &mut Canvas) {
    let main = canvas.palette.main;
    canvas.shadow(206.0, 321.0, 96.0, 15.0);
    let glaze = canvas.choices.one_of(&GLAZES);
    canvas.solid(
        "M136,196 Q136,170 158,166 H242 Q264,170 264,196 V300 Q264,322 242,322 H158 Q136,322 136,300 Z",
        (136.0, 166.0, 128.0, 156.0),
        main,
        glaze,
    );
    canvas.wood("M150,146 H250 V168 H150 Z", 0.0);
    canvas.wood("M144,134 Q144,126 152,126 H248 Q256,126 256,134 V148 H144 Z", 0.08);
    canvas.wood("M188,112 Q188,104 200,104 Q212,104 212,112 V127 H188 Z", 0.15);
    canvas.block((168.0, 226.0, 64.0, 42.0), 5.0, &canvas.palette.second.lighter(0.4).css());
    canvas.faint_line("M180,241 h40 M186,252 h28", canvas.palette.dark, 2.4, 0.6);
}

/// A water jug.
pub fn jug(canvas: &mut Canvas) {
    let main = canvas.palette.main;
    canvas.shadow(206.0, 321.0, 96.0, 15.0);
    canvas.line("M244,164 C318,150 318,262 250,272", main.darker(0.2), 15.0);
    canvas.faint_line("M246,160 C310,148 312,258 252,268", main.lighter(0.4), 3.5, 0.6);
    let glaze = canvas.choices.one_of(&GLAZES);
    canvas.solid(
        "M150,112 L138,100 Q146,96 160,106 H246 C246,150 272,196 270,262 C270,304 252,322 230,322 H166 C144,322 128,304 128,262 C128,200 152,168 150,112 Z",
        (128.0, 98.0, 144.0, 224.0),
        main,
        glaze,
    );
    canvas.ellipse(200.0, 107.0, 46.0, 7.5, &main.darker(0.35).css());
    canvas.faint_line("M140,100 Q150,98 160,106 M246,107 a46,8 0 0 1 -92,0", main.lighter(0.35), 3.0, 1.0);
}

/// A teapot.
pub fn teapot(canvas: &mut Canvas) {
    let main = canvas.palette.main;
    canvas.shadow(202.0, 321.0, 128.0, 16.0);
    canvas.line("M268,220 C346,196 344,300 262,290", main.darker(0.22), 14.0);
    canvas.solid(
        "M134,236 C104,236 104,196 74,186 L88,174 C124,184 124,214 152,214 L150,286 Z",
        (74.0, 174.0, 78.0, 112.0),
        main.darker(0.06),
        Pattern::Plain,
    );
    let glaze = canvas.choices.one_of(&GLAZES);
    canvas.solid("M200,176 C262,176 288,212 288,252 C288,298 256,322 200,322 C144,322 112,298 112,252 C112,212 138,176 200,176 Z", (112.0, 176.0, 176.0, 146.0), main, glaze);
    canvas.ellipse(200.0, 183.0, 52.0, 9.0, &main.darker(0.3).css());
    canvas.solid(
        "M150,180 C156,158 180,150 200,150 C220,150 244,158 250,180 Q200,194 150,180 Z",
        (150.0, 150.0, 100.0, 40.0),
        main.lighter(0.08),
        Pattern::Plain,
    );
    canvas.wood("M188,140 a12,12 0 1 1 24,0 v12 h-24 Z", 0.1);
    steam(canvas, 82.0, 160.0);
}

/// A kettle for the stove.
pub fn kettle(canvas: &mut Canvas) {
    let (main, dark) = (canvas.palette.main, canvas.palette.dark);
    canvas.shadow(202.0, 321.0, 126.0, 16.0);
    canvas.line("M130,196 C130,92 270,92 270,196", dark, 9.0);
    canvas.line("M160,128 C182,110 218,110 240,128", Colour::hex(0x9a6b42), 15.0);
    canvas.solid(
        "M124,252 C96,244 92,212 64,204 L74,186 C112,190 118,214 142,214 Z",
        (64.0, 186.0, 78.0, 66.0),
        main.darker(0.08),
        Pattern::Plain,
    );
    canvas.solid(
        "M150,188 H250 C286,204 296,262 290,306 Q288,322 270,322 H130 Q112,322 110,306 C104,262 114,204 150,188 Z",
        (106.0, 188.0, 188.0, 134.0),
        main,
        Pattern::Plain,
    );
    canvas.veil("M110,300 H290 Q288,322 270,322 H130 Q112,322 110,300 Z", SHADE, 0.28);
    canvas.veil("M146,212 q-18,36 -14,74 q8,-46 28,-74 Z", WHITE, 0.35);
    canvas.ellipse(200.0, 188.0, 52.0, 9.0, &main.darker(0.3).css());
    canvas.solid(
        "M152,186 Q156,170 200,168 Q244,170 248,186 Q200,198 152,186 Z",
        (152.0, 168.0, 96.0, 26.0),
        main.lighter(0.1),
        Pattern::Plain,
    );
    canvas.ellipse(200.0, 163.0, 10.0, 9.0, &dark.css());
    steam(canvas, 62.0, 184.0);
}

/// A cast-iron skillet seen from above, with something good in it.
pub fn pan(canvas: &mut Canvas) {
    let dark = canvas.palette.dark;
    canvas.shadow(190.0, 270.0, 142.0, 84.0);
    canvas.turned(-28.0, 180.0, 220.0, |canvas| {
        canvas.solid(
            "M274,206 H372 Q386,206 386,220 Q386,234 372,234 H274 Z",
            (274.0, 206.0, 112.0, 28.0),
            dark.lighter(0.12),
            Pattern::Plain,
        );
        canvas.ellipse(368.0, 220.0, 7.0, 7.0, &canvas.palette.ground.css());
    });
    let iron = canvas.outward(&[
        (0.0, dark.lighter(0.22), 1.0),
        (0.84, dark.lighter(0.12), 1.0),
        (0.86, dark.darker(0.3), 1.0),
        (1.0, dark.lighter(0.25), 1.0),
    ]);
    canvas.ellipse(180.0, 220.0, 116.0, 116.0, &iron);
    canvas.fill("M128,196 C140,152 210,146 234,184 C262,214 238,268 196,270 C150,274 112,240 128,196 Z", "#fdf6e6");
    let yolk = canvas.outward(&[(0.0, Colour::hex(0xffd35c), 1.0), (1.0, Colour::hex(0xf0a52e), 1.0)]);
    canvas.ellipse(182.0, 210.0, 29.0, 28.0, &yolk);
    canvas.ellipse(173.0, 201.0, 8.0, 6.0, "#fff3c4");
    for (x, y) in [(146.0, 250.0), (222.0, 170.0), (232.0, 246.0), (124.0, 176.0), (160.0, 160.0)] {
        canvas.line(&format!("M{x:.1},{y:.1} l7,-5"), Colour::hex(0x5f8a4a), 4.0);
    }
}

/// A cutting board with bread.
pub fn board(canvas: &mut Canvas) {
    canvas.shadow(206.0, 320.0, 130.0, 17.0);
    canvas.wood("M126,96 Q126,84 138,84 H180 V62 Q180,48 200,48 Q220,48 220,62 V84 H262 Q274,84 274,96 V308 Q274,320 262,320 H138 Q126,320 126,308 Z", 0.04);
    canvas.ellipse(200.0, 66.0, 8.0, 8.0, &canvas.palette.sun.css());
    for y in [112.0, 146.0, 176.0, 214.0] {
        let bend = canvas.choices.between(-9.0, 9.0);
        canvas.faint_line(&format!("M136,{y:.1} q64,{bend:.1} 128,0"), Colour::hex(0x7d5a39), 1.6, 0.45);
    }
    canvas.solid(
        "M92,300 C92,252 150,238 208,240 C262,242 300,262 300,300 Q300,322 274,322 H118 Q92,322 92,300 Z",
        (92.0, 238.0, 208.0, 84.0),
        Colour::hex(0xcf9350),
        Pattern::Plain,
    );
    for x in [136.0, 174.0, 212.0, 250.0] {
        canvas.faint_line(&format!("M{x:.1},252 q16,12 12,34"), Colour::hex(0xf4ddb4), 7.0, 0.9);
    }
    let trim = canvas.palette.main;
    canvas.fill("M262,322 L318,262 L334,276 L290,322 Z", &trim.css());
    canvas.veil("M276,322 L326,268 L334,276 L290,322 Z", SHADE, 0.2);
}

/// A flask for the trail.
pub fn flask(canvas: &mut Canvas) {
    let (main, second, dark) = (canvas.palette.main, canvas.palette.second, canvas.palette.dark);
    canvas.shadow(206.0, 330.0, 76.0, 13.0);
    canvas.solid(
        "M152,170 C152,140 174,140 176,122 H224 C226,140 248,140 248,170 V312 Q248,330 230,330 H170 Q152,330 152,312 Z",
        (152.0, 122.0, 96.0, 208.0),
        main,
        Pattern::Plain,
    );
    canvas.inside("M152,170 H248 V312 Q248,330 230,330 H170 Q152,330 152,312 Z", |canvas| {
        canvas.veil("M140,280 L178,226 L200,256 L222,214 L262,276 V340 H140 Z", second, 0.9);
        canvas.veil("M140,304 L186,262 L214,288 L262,258 V340 H140 Z", main.darker(0.4), 0.75);
    });
    canvas.ellipse(222.0, 196.0, 11.0, 11.0, &second.css());
    canvas.solid("M172,86 H228 V122 H172 Z", (172.0, 86.0, 56.0, 36.0), dark, Pattern::Ribs);
    canvas.line("M184,86 C184,58 216,58 216,86", dark, 6.0);
    canvas.faint_line("M164,176 V306", WHITE, 5.0, 0.35);
}
