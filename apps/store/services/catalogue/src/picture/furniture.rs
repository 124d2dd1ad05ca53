//! Things to sit on, to sit at, and to put things on.

use super::canvas::{Canvas, Pattern};
use super::colour::{Colour, SHADE, WHITE};

const CLOTHS: [Pattern; 4] = [Pattern::Plain, Pattern::Ribs, Pattern::Zigzag, Pattern::Dots];

/// A dining chair.
pub fn chair(canvas: &mut Canvas) {
    canvas.shadow(204.0, 350.0, 100.0, 15.0);
    canvas.wood("M238,222 L252,224 L262,346 L252,346 Z", 0.28);
    canvas.wood("M150,222 L164,222 L158,346 L148,346 Z", 0.28);
    let back = canvas.choices.next().is_multiple_of(2);
    canvas.wood("M136,90 Q138,80 146,80 L158,214 L148,350 L136,350 L142,214 Z", 0.10);
    canvas.wood("M264,90 Q262,80 254,80 L242,214 L252,350 L264,350 L258,214 Z", 0.14);
    let main = canvas.palette.main;
    if back {
        canvas.solid(
            "M140,88 Q200,72 260,88 L256,134 Q200,120 144,134 Z",
            (140.0, 76.0, 120.0, 58.0),
            main,
            Pattern::Plain,
        );
        canvas.wood("M146,168 Q200,156 254,168 L253,180 Q200,168 147,180 Z", 0.1);
    } else {
        canvas.wood("M140,84 Q200,68 260,84 L258,104 Q200,90 142,104 Z", 0.1);
        for x in [162.0, 184.0, 206.0, 228.0] {
            canvas.wood(&format!("M{x:.1},94 h9 l1,120 h-9 Z"), 0.06);
        }
    }
    let cloth = canvas.choices.one_of(&CLOTHS);
    canvas.solid(
        "M132,210 Q134,198 150,198 H250 Q266,198 268,210 L274,226 Q274,240 260,240 H140 Q126,240 126,226 Z",
        (126.0, 198.0, 148.0, 42.0),
        main,
        cloth,
    );
    canvas.faint_line("M150,292 H250", Colour::hex(0x8a6240), 7.0, 1.0);
}

/// An armchair one does not leave soon.
pub fn armchair(canvas: &mut Canvas) {
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    canvas.shadow(204.0, 350.0, 150.0, 17.0);
    for x in [112.0, 272.0] {
        canvas.wood(&format!("M{x:.1},316 h16 l-3,34 h-9 Z"), 0.15);
    }
    let cloth = canvas.choices.one_of(&[Pattern::Plain, Pattern::Ribs]);
    canvas.solid(
        "M120,130 C120,92 158,84 200,84 C242,84 280,92 280,130 V270 H120 Z",
        (120.0, 84.0, 160.0, 186.0),
        main,
        cloth,
    );
    canvas.faint_line("M146,130 C146,112 170,106 200,106 C230,106 254,112 254,130 V220", main.darker(0.3), 2.5, 0.6);
    canvas.solid(
        "M122,236 Q122,222 138,222 H262 Q278,222 278,236 V270 H122 Z",
        (122.0, 222.0, 156.0, 48.0),
        main.lighter(0.12),
        cloth,
    );
    canvas.solid(
        "M122,266 H278 V318 Q278,326 268,326 H132 Q122,326 122,318 Z",
        (122.0, 266.0, 156.0, 60.0),
        main.darker(0.12),
        Pattern::Plain,
    );
    for left in [82.0, 264.0] {
        let arm = format!("M{left:.1},220 q0,-26 27,-26 q27,0 27,26 V312 q0,14 -14,14 h-26 q-14,0 -14,-14 Z");
        canvas.solid(&arm, (left, 194.0, 54.0, 132.0), main, cloth);
    }
    canvas.turned(-9.0, 200.0, 190.0, |canvas| {
        canvas.solid(
            "M162,162 Q200,170 238,162 Q232,196 238,226 Q200,218 162,226 Q168,196 162,162 Z",
            (162.0, 162.0, 76.0, 64.0),
            second,
            Pattern::Zigzag,
        );
    });
}

/// A three-legged stool.
pub fn stool(canvas: &mut Canvas) {
    canvas.shadow(204.0, 350.0, 104.0, 15.0);
    canvas.wood("M192,180 H208 L206,338 H196 Z", 0.34);
    canvas.wood("M148,176 L166,180 L140,352 L126,352 Z", 0.1);
    canvas.wood("M252,176 L234,180 L260,352 L274,352 Z", 0.18);
    canvas.faint_line("M142,286 H258", Colour::hex(0x8a6240), 8.0, 1.0);
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    canvas.solid(
        "M112,158 H288 V168 Q288,190 262,190 H138 Q112,190 112,168 Z",
        (112.0, 158.0, 176.0, 32.0),
        main,
        Pattern::Plain,
    );
    canvas.ellipse(200.0, 158.0, 88.0, 16.0, &main.lighter(0.22).css());
    for reach in [62.0_f32, 38.0, 14.0] {
        canvas.faint_line(
            &format!("M{:.1},158 a{reach:.1},{:.1} 0 1 0 {:.1},0", 200.0 - reach, reach * 0.17, reach * 2.0),
            second,
            2.2,
            0.8,
        );
    }
}

/// A long bench.
pub fn bench(canvas: &mut Canvas) {
    canvas.shadow(202.0, 350.0, 176.0, 14.0);
    for (x, lean) in [(72.0, -8.0), (306.0, 8.0)] {
        canvas.wood(&format!("M{x:.1},244 h22 l{lean:.1},106 h-16 Z"), 0.2);
    }
    canvas.faint_line("M84,306 H316", Colour::hex(0x8a6240), 8.0, 1.0);
    canvas.wood("M40,226 Q40,220 46,220 H354 Q360,220 360,226 V246 H40 Z", 0.04);
    for x in [110.0, 190.0, 280.0] {
        canvas.faint_line(&format!("M{x:.1},230 h46 M{:.1},238 h30", x - 30.0), Colour::hex(0x7d5a39), 1.6, 0.5);
    }
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    canvas.solid(
        "M60,206 Q60,196 72,196 H214 Q226,196 226,206 V212 Q226,221 214,221 H72 Q60,221 60,212 Z",
        (60.0, 196.0, 166.0, 25.0),
        main,
        Pattern::Ribs,
    );
    canvas.solid(
        "M274,162 Q304,170 336,162 Q330,190 336,220 H274 Q280,190 274,162 Z",
        (274.0, 162.0, 62.0, 58.0),
        second,
        Pattern::Leaves,
    );
}

/// A table for the family, laid with a runner and a vase.
pub fn table(canvas: &mut Canvas) {
    let main = canvas.palette.main;
    canvas.shadow(202.0, 352.0, 170.0, 15.0);
    for x in [76.0, 304.0] {
        canvas.wood(&format!("M{x:.1},228 h20 l-3,124 h-12 Z"), 0.16);
    }
    canvas.wood("M66,226 H334 V248 H66 Z", 0.22);
    canvas.wood("M32,208 Q32,200 40,200 H360 Q368,200 368,208 V226 Q368,230 364,230 H36 Q32,230 32,226 Z", 0.02);
    canvas.flat("M160,198 H240 L246,272 L200,284 L154,272 Z", (154.0, 198.0, 92.0, 86.0), main, Pattern::Bands);
    canvas.solid(
        "M186,146 H214 C210,160 226,170 224,184 Q222,200 210,200 H190 Q178,200 176,184 C174,170 190,160 186,146 Z",
        (174.0, 146.0, 52.0, 54.0),
        canvas.palette.second,
        Pattern::Plain,
    );
    sprig(canvas, 200.0, 148.0, 92.0);
}

/// A low round table.
pub fn side_table(canvas: &mut Canvas) {
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    canvas.shadow(204.0, 350.0, 112.0, 15.0);
    canvas.wood("M140,224 L156,224 L138,352 L126,352 Z", 0.12);
    canvas.wood("M260,224 L244,224 L262,352 L274,352 Z", 0.2);
    canvas.wood("M193,232 H207 L205,346 H195 Z", 0.32);
    canvas.solid(
        "M88,214 H312 V224 Q300,246 200,246 Q100,246 88,224 Z",
        (88.0, 214.0, 224.0, 32.0),
        main.darker(0.1),
        Pattern::Plain,
    );
    canvas.ellipse(200.0, 214.0, 112.0, 22.0, &main.css());
    let gloss = canvas.across(&[(0.0, WHITE, 0.0), (0.35, WHITE, 0.35), (0.6, WHITE, 0.0)]);
    canvas.ellipse(200.0, 214.0, 112.0, 22.0, &gloss);
    canvas.solid("M132,198 H214 V210 H132 Z", (132.0, 198.0, 82.0, 12.0), second, Pattern::Plain);
    canvas.solid(
        "M140,186 H208 V198 H140 Z",
        (140.0, 186.0, 68.0, 12.0),
        canvas.palette.dark.lighter(0.3),
        Pattern::Plain,
    );
    canvas.solid("M236,172 H272 L268,212 H240 Z", (236.0, 172.0, 36.0, 40.0), second.darker(0.12), Pattern::Dip);
}

/// Shelves; `leaning` ones stand like a ladder, others hang.
pub fn shelves(canvas: &mut Canvas, leaning: bool) {
    let tops: &[f32] = if leaning { &[128.0, 196.0, 266.0] } else { &[150.0, 236.0] };
    if leaning {
        canvas.shadow(204.0, 352.0, 120.0, 14.0);
        canvas.wood("M124,60 H136 L112,352 H98 Z", 0.1);
        canvas.wood("M276,60 H264 L288,352 H302 Z", 0.18);
    }
    for (row, top) in tops.iter().enumerate() {
        let grow = if leaning { row as f32 * 8.0 } else { 18.0 };
        let (left, right) = (112.0 - grow, 288.0 + grow);
        things(canvas, left + 14.0, right - 14.0, *top);
        canvas.wood(&format!("M{left:.1},{top:.1} H{right:.1} V{:.1} H{left:.1} Z", top + 12.0), 0.05);
        canvas.veil(&format!("M{left:.1},{:.1} H{right:.1} l-10,9 H{:.1} Z", top + 12.0, left + 10.0), SHADE, 0.18);
        if !leaning {
            for x in [left + 26.0, right - 34.0] {
                canvas.fill(&format!("M{x:.1},{:.1} h8 v26 q-8,-4 -8,-26 Z", top + 12.0), &canvas.palette.dark.css());
            }
        }
    }
}

fn things(canvas: &mut Canvas, left: f32, right: f32, floor: f32) {
    let tones = [
        canvas.palette.main,
        canvas.palette.second,
        canvas.palette.dark.lighter(0.25),
        canvas.palette.main.lighter(0.35),
    ];
    let mut at = left;
    while at < right - 34.0 {
        match canvas.choices.next() % 3 {
            0 => {
                for _ in 0..3 {
                    let (width, height) = (canvas.choices.between(7.0, 12.0), canvas.choices.between(32.0, 46.0));
                    let tone = canvas.choices.one_of(&tones);
                    canvas.block((at, floor - height, width, height), 1.5, &tone.css());
                    at += width + 1.0;
                }
            }
            1 => {
                let tone = canvas.choices.one_of(&tones);
                let pot = format!("M{at:.1},{:.1} h26 l-4,20 h-18 Z", floor - 20.0);
                sprig(canvas, at + 13.0, floor - 18.0, 26.0);
                canvas.solid(&pot, (at, floor - 20.0, 26.0, 20.0), tone, Pattern::Plain);
                at += 30.0;
            }
            _ => {
                let tone = canvas.choices.one_of(&tones);
                let bowl = format!("M{at:.1},{:.1} h34 q-2,16 -12,16 h-10 q-10,0 -12,-16 Z", floor - 16.0);
                canvas.solid(&bowl, (at, floor - 16.0, 34.0, 16.0), tone, Pattern::Plain);
                at += 38.0;
            }
        }
        at += 7.0;
    }
}

/// A few stems with leaves, growing from a point.
pub fn sprig(canvas: &mut Canvas, x: f32, y: f32, height: f32) {
    let green = Colour::hex(0x6f9a6c).mix(canvas.palette.main, 0.2);
    for lean in [-0.42_f32, 0.02, 0.40] {
        let (tip_x, tip_y) = (x + lean * height, y - height * (1.0 - lean.abs() * 0.4));
        canvas.line(
            &format!("M{x:.1},{y:.1} Q{x:.1},{:.1} {tip_x:.1},{tip_y:.1}", y - height * 0.5),
            green.darker(0.3),
            1.8,
        );
        for step in [0.45_f32, 0.7, 0.95] {
            let (leaf_x, leaf_y) = (x + (tip_x - x) * step * step, y + (tip_y - y) * step);
            let size = height * 0.11;
            for side in [-1.0_f32, 1.0] {
                let path = format!(
                    "M{leaf_x:.1},{leaf_y:.1} q{:.1},-{size:.1} {:.1},-{:.1} q{:.1},{size:.1} {:.1},{:.1} Z",
                    size * side,
                    size * 1.9 * side,
                    size * 0.8,
                    -size * 0.2 * side,
                    -size * 1.9 * side,
                    size * 0.8
                );
                let tone = if side < 0.0 { green } else { green.lighter(0.18) };
                canvas.fill(&path, &tone.css());
            }
        }
    }
}

/// A round mirror.
pub fn mirror(canvas: &mut Canvas) {
    let (main, sky) = (canvas.palette.main, canvas.palette.sky);
    canvas.veil("M96,176 a110,110 0 1 0 220,0 a110,110 0 1 0 -220,0", SHADE, 0.14);
    let frame = canvas.across(&[(0.0, main.lighter(0.3), 1.0), (0.5, main, 1.0), (1.0, main.darker(0.3), 1.0)]);
    canvas.ellipse(200.0, 166.0, 112.0, 112.0, &frame);
    let glass = canvas.down(&[
        (0.0, sky.lighter(0.75), 1.0),
        (0.6, sky.mix(canvas.palette.haze, 0.7), 1.0),
        (1.0, canvas.palette.ground, 1.0),
    ]);
    canvas.ellipse(200.0, 166.0, 101.0, 101.0, &glass);
    canvas.inside("M99,166 a101,101 0 1 0 202,0 a101,101 0 1 0 -202,0", |canvas| {
        canvas.veil("M140,40 h44 l-96,240 h-44 Z", WHITE, 0.5);
        canvas.veil("M206,40 h16 l-96,240 h-16 Z", WHITE, 0.4);
    });
    canvas.wood("M70,316 H330 V330 H70 Z", 0.08);
    canvas.solid("M104,276 H140 L134,316 H110 Z", (104.0, 276.0, 36.0, 40.0), canvas.palette.second, Pattern::Dip);
    sprig(canvas, 122.0, 278.0, 70.0);
    canvas.solid("M250,304 H310 V316 H250 Z", (250.0, 304.0, 60.0, 12.0), main.darker(0.25), Pattern::Plain);
}

/// A chair that folds, for a fire or a lake.
pub fn camp_chair(canvas: &mut Canvas) {
    let main = canvas.palette.main;
    canvas.shadow(204.0, 352.0, 122.0, 15.0);
    canvas.wood("M118,240 L132,234 L276,346 L262,352 Z", 0.22);
    canvas.wood("M282,240 L268,234 L124,346 L138,352 Z", 0.1);
    canvas.wood("M120,92 L134,88 L148,250 L134,252 Z", 0.1);
    canvas.wood("M280,92 L266,88 L252,250 L266,252 Z", 0.2);
    let cloth = canvas.choices.one_of(&[Pattern::Bands, Pattern::Zigzag, Pattern::Leaves]);
    canvas.flat("M128,98 Q200,116 272,98 L262,200 Q200,222 138,200 Z", (128.0, 98.0, 144.0, 120.0), main, cloth);
    canvas.flat(
        "M124,232 Q200,262 276,232 L268,256 Q200,288 132,256 Z",
        (124.0, 232.0, 152.0, 52.0),
        main.darker(0.12),
        Pattern::Plain,
    );
    for x in [100.0, 254.0] {
        canvas.wood(&format!("M{x:.1},196 q0,-8 8,-8 h30 q8,0 8,8 v5 h-46 Z"), 0.06);
    }
}
