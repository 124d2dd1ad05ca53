//! Plants, and what they live in.

use super::canvas::{Canvas, Pattern};
use super::colour::{Colour, WHITE};
use super::furniture::sprig;

const POTS: [Pattern; 5] = [Pattern::Plain, Pattern::Dip, Pattern::Bands, Pattern::Zigzag, Pattern::Specks];

fn green(canvas: &Canvas, share: f32) -> Colour {
    Colour::hex(0x4f8a5b).mix(canvas.palette.main, 0.10).mix(WHITE, share)
}

/// A pot that stands on `floor`; the plant was drawn before it.
fn pot(canvas: &mut Canvas, floor: f32, half: f32, height: f32) {
    let main = canvas.palette.main;
    let glaze = canvas.choices.one_of(&POTS);
    let top = floor - height;
    let path = format!(
        "M{:.1},{top:.1} H{:.1} L{:.1},{:.1} Q{:.1},{floor:.1} {:.1},{floor:.1} H{:.1} Q{:.1},{floor:.1} {:.1},{:.1} Z",
        200.0 - half,
        200.0 + half,
        200.0 + half * 0.76,
        floor - 12.0,
        200.0 + half * 0.74,
        200.0 + half * 0.58,
        200.0 - half * 0.58,
        200.0 - half * 0.74,
        200.0 - half * 0.76,
        floor - 12.0
    );
    canvas.solid(&path, (200.0 - half, top, half * 2.0, height), main, glaze);
    let collar = format!(
        "M{:.1},{:.1} H{:.1} V{:.1} H{:.1} Z",
        200.0 - half - 5.0,
        top - 9.0,
        200.0 + half + 5.0,
        top + 9.0,
        200.0 - half - 5.0
    );
    canvas.solid(&collar, (200.0 - half - 5.0, top - 9.0, half * 2.0 + 10.0, 18.0), main.lighter(0.06), Pattern::Plain);
}

fn leaf(canvas: &mut Canvas, from: (f32, f32), degrees: f32, length: f32, width: f32, tone: Colour) {
    let (x, y) = from;
    canvas.turned(degrees, x, y, |canvas| {
        let tip = y - length;
        let left = format!(
            "M{x:.1},{y:.1} C{:.1},{:.1} {:.1},{:.1} {x:.1},{tip:.1} Z",
            x - width,
            y - length * 0.3,
            x - width * 0.8,
            y - length * 0.82
        );
        let right = format!(
            "M{x:.1},{y:.1} C{:.1},{:.1} {:.1},{:.1} {x:.1},{tip:.1} Z",
            x + width,
            y - length * 0.3,
            x + width * 0.8,
            y - length * 0.82
        );
        canvas.fill(&left, &tone.css());
        canvas.fill(&right, &tone.darker(0.16).css());
        canvas.faint_line(&format!("M{x:.1},{y:.1} V{:.1}", tip + length * 0.12), tone.lighter(0.4), 1.5, 0.7);
    });
}

/// A monstera with cut leaves.
pub fn monstera(canvas: &mut Canvas) {
    canvas.shadow(206.0, 330.0, 92.0, 14.0);
    for (x, y, lean, size, pale) in [
        (128.0_f32, 142.0_f32, -48.0_f32, 1.0_f32, 0.02_f32),
        (278.0, 150.0, 50.0, 0.95, 0.0),
        (164.0, 86.0, -14.0, 0.92, 0.10),
        (244.0, 96.0, 22.0, 1.05, 0.16),
        (204.0, 158.0, 4.0, 1.0, 0.22),
    ] {
        let tone = green(canvas, pale);
        canvas.line(
            &format!("M200,262 Q{:.1},{:.1} {x:.1},{:.1}", (200.0 + x) / 2.0 + lean * 0.1, y + 70.0, y + 40.0),
            tone.darker(0.25),
            5.0,
        );
        canvas.turned(lean, x, y + 40.0, |canvas| {
            let reach = 54.0 * size;
            let heart = format!(
                "M{x:.1},{:.1} C{:.1},{:.1} {:.1},{:.1} {x:.1},{:.1} C{:.1},{:.1} {:.1},{:.1} {x:.1},{:.1} Z",
                y + 44.0,
                x - reach * 1.3,
                y + 50.0,
                x - reach,
                y - reach * 0.7,
                y - reach,
                x + reach,
                y - reach * 0.7,
                x + reach * 1.3,
                y + 50.0,
                y + 44.0
            );
            canvas.flat(&heart, (x - reach, y - reach, reach * 2.0, reach * 2.0), tone, Pattern::Plain);
            canvas.inside(&heart, |canvas| {
                let gap = canvas.palette.haze.mix(canvas.palette.sun, 0.5);
                for (row, side) in [(0.0, -1.0), (1.0, -1.0), (2.0, -1.0), (0.0, 1.0), (1.0, 1.0), (2.0, 1.0)] {
                    let top = y + 24.0 - row * reach * 0.42;
                    canvas.fill(
                        &format!(
                            "M{:.1},{top:.1} q{:.1},-5 {:.1},-16 l{:.1},9 q{:.1},9 {:.1},7 Z",
                            x + side * 16.0,
                            side * 20.0,
                            side * 52.0,
                            side * 2.0,
                            side * -26.0,
                            side * -54.0
                        ),
                        &gap.css(),
                    );
                }
                canvas.line(&format!("M{x:.1},{:.1} V{:.1}", y + 40.0, y - reach * 0.8), tone.lighter(0.35), 2.2);
            });
        });
    }
    pot(canvas, 332.0, 58.0, 78.0);
}

/// A fig with big plain leaves.
pub fn fig(canvas: &mut Canvas) {
    canvas.shadow(206.0, 332.0, 86.0, 13.0);
    canvas.line("M200,262 C196,200 206,140 200,66", Colour::hex(0x7a5a40), 6.0);
    for step in 0..9 {
        let y = 236.0 - step as f32 * 20.0;
        let side = if step % 2 == 0 { -1.0 } else { 1.0 };
        let tone = green(canvas, 0.03 * step as f32).darker(0.12);
        leaf(canvas, (200.0, y), side * (64.0 - step as f32 * 4.0), 92.0 - step as f32 * 2.5, 30.0, tone);
    }
    let young = green(canvas, 0.3);
    leaf(canvas, (200.0, 74.0), 6.0, 54.0, 15.0, young);
    pot(canvas, 334.0, 52.0, 74.0);
}

/// Upright striped leaves.
pub fn snake(canvas: &mut Canvas) {
    canvas.shadow(206.0, 330.0, 88.0, 13.0);
    let tone = green(canvas, 0.0).darker(0.15);
    for (lean, tall, wide, shift) in [
        (-17.0_f32, 150.0_f32, 17.0_f32, -18.0_f32),
        (15.0, 160.0, 17.0, 20.0),
        (-7.0, 200.0, 19.0, -8.0),
        (6.0, 176.0, 19.0, 10.0),
        (0.0, 136.0, 20.0, 0.0),
    ] {
        let x = 200.0 + shift;
        canvas.turned(lean, x, 268.0, |canvas| {
            let top = 268.0 - tall;
            let blade = format!(
                "M{:.1},268 C{:.1},{:.1} {:.1},{:.1} {x:.1},{top:.1} C{:.1},{:.1} {:.1},{:.1} {:.1},268 Z",
                x - wide * 0.6,
                x - wide * 1.3,
                268.0 - tall * 0.4,
                x - wide,
                top + 40.0,
                x + wide,
                top + 40.0,
                x + wide * 1.3,
                268.0 - tall * 0.4,
                x + wide * 0.6
            );
            canvas.fill(&blade, &Colour::hex(0xd9cf83).css());
            let inner = format!(
                "M{:.1},268 C{:.1},{:.1} {:.1},{:.1} {x:.1},{:.1} C{:.1},{:.1} {:.1},{:.1} {:.1},268 Z",
                x - wide * 0.4,
                x - wide,
                268.0 - tall * 0.4,
                x - wide * 0.7,
                top + 46.0,
                top + 10.0,
                x + wide * 0.7,
                top + 46.0,
                x + wide,
                268.0 - tall * 0.4,
                x + wide * 0.4
            );
            canvas.fill(&inner, &tone.css());
            canvas.inside(&inner, |canvas| {
                let mut y = 262.0;
                while y > top {
                    canvas.faint_line(
                        &format!("M{:.1},{y:.1} q10,-6 20,0 t20,0", x - 20.0),
                        tone.lighter(0.4),
                        2.6,
                        0.6,
                    );
                    y -= 13.0;
                }
            });
        });
    }
    pot(canvas, 332.0, 56.0, 76.0);
}

/// Beads of green that hang from a pot on strings.
pub fn pearls(canvas: &mut Canvas) {
    let (main, dark) = (canvas.palette.main, canvas.palette.dark);
    canvas.line("M200,0 V40 M200,40 L142,128 M200,40 L258,128", dark, 2.6);
    let glaze = canvas.choices.one_of(&POTS);
    canvas.solid(
        "M134,126 H266 C266,172 244,192 226,192 H174 C156,192 134,172 134,126 Z",
        (134.0, 126.0, 132.0, 66.0),
        main,
        glaze,
    );
    for strand in [0, 1, 2, 5, 8, 9, 10] {
        let x = 138.0 + strand as f32 * 12.4;
        let long = canvas.choices.between(70.0, 196.0);
        let sway = canvas.choices.between(-16.0, 16.0);
        let tone = green(canvas, 0.12);
        canvas.line(
            &format!("M{x:.1},126 q{:.1},{:.1} {sway:.1},{long:.1}", sway * 0.2, long * 0.5),
            tone.darker(0.2),
            1.3,
        );
        let beads = (long / 11.0) as usize;
        for bead in 1..=beads {
            let share = bead as f32 / beads as f32;
            let pale = canvas.choices.between(0.02, 0.34);
            let colour = green(canvas, pale);
            canvas.ellipse(x + sway * share * share, 126.0 + long * share, 4.9, 4.9, &colour.css());
        }
    }
    for index in 0..26 {
        let (x, y) = (136.0 + index as f32 * 5.1, canvas.choices.between(112.0, 127.0));
        let pale = canvas.choices.between(0.02, 0.34);
        let colour = green(canvas, pale);
        canvas.ellipse(x, y, 6.0, 6.0, &colour.css());
    }
    canvas.shadow(200.0, 352.0, 90.0, 12.0);
}

/// A small olive tree.
pub fn olive(canvas: &mut Canvas) {
    canvas.shadow(206.0, 334.0, 92.0, 13.0);
    canvas.line("M200,268 C188,228 212,206 200,160", Colour::hex(0x8b7258), 9.0);
    canvas.line("M202,198 C222,176 232,160 240,138 M200,190 C182,172 172,158 164,140", Colour::hex(0x8b7258), 5.0);
    let tone = Colour::hex(0x7f9273);
    for index in 0..150 {
        let around = canvas.choices.between(0.0, std::f32::consts::TAU);
        let out = canvas.choices.between(0.0, 1.0).sqrt() * 82.0;
        let (x, y) = (200.0 + around.cos() * out * 1.06, 126.0 + around.sin() * out * 0.86);
        let (lean, pale) = (canvas.choices.between(-80.0, 80.0), canvas.choices.between(0.0, 0.45));
        let colour = if index % 2 == 0 { tone.lighter(pale) } else { tone.darker(pale * 0.7) };
        canvas.turned(lean, x, y, |canvas| {
            canvas.fill(&format!("M{x:.1},{:.1} q-5,11 0,23 q5,-12 0,-23 Z", y - 11.0), &colour.css());
        });
        if index % 17 == 0 {
            canvas.ellipse(x, y, 4.4, 5.6, "#4a4a35");
        }
    }
    pot(canvas, 336.0, 56.0, 80.0);
}

/// A fern.
pub fn fern(canvas: &mut Canvas) {
    canvas.shadow(206.0, 332.0, 94.0, 14.0);
    for (index, lean) in [-82.0_f32, 80.0, -60.0, 58.0, -38.0, 36.0, -16.0, 14.0, 0.0].into_iter().enumerate() {
        let tone = green(canvas, 0.03 * index as f32);
        let long = 176.0 - lean.abs() * 0.55;
        canvas.turned(lean * 0.72, 200.0, 268.0, |canvas| {
            canvas.line(
                &format!("M200,268 q{:.1},-{:.1} {:.1},-{long:.1}", lean * 0.05, long * 0.6, lean * 0.2),
                tone.darker(0.25),
                2.0,
            );
            for step in 2..15 {
                let share = step as f32 / 15.0;
                let (x, y) = (200.0 + lean * 0.2 * share * share, 268.0 - long * share);
                let reach = 25.0 * (1.0 - (share - 0.35).abs()).max(0.15);
                canvas.fill(
                    &format!(
                        "M{x:.1},{y:.1} q-{:.1},-9 -{reach:.1},1 q{:.1},5 {reach:.1},5 Z",
                        reach * 0.5,
                        reach * 0.5
                    ),
                    &tone.css(),
                );
                canvas.fill(
                    &format!(
                        "M{x:.1},{y:.1} q{:.1},-9 {reach:.1},1 q-{:.1},5 -{reach:.1},5 Z",
                        reach * 0.5,
                        reach * 0.5
                    ),
                    &tone.darker(0.12).css(),
                );
            }
        });
    }
    pot(canvas, 334.0, 58.0, 78.0);
}

/// Pots by themselves: a stack when `stacked`, one glazed planter otherwise.
pub fn pots(canvas: &mut Canvas, stacked: bool) {
    if !stacked {
        canvas.shadow(206.0, 334.0, 116.0, 16.0);
        sprig(canvas, 200.0, 198.0, 116.0);
        sprig(canvas, 170.0, 200.0, 74.0);
        sprig(canvas, 232.0, 200.0, 80.0);
        pot(canvas, 336.0, 92.0, 136.0);
        return;
    }
    canvas.shadow(196.0, 332.0, 136.0, 16.0);
    let clay = Colour::hex(0xc4694a);
    for (x, floor, half, height) in
        [(160.0, 330.0, 62.0, 90.0), (160.0, 262.0, 52.0, 74.0), (160.0, 208.0, 42.0, 60.0), (278.0, 330.0, 40.0, 58.0)]
    {
        let top = floor - height;
        let body = format!(
            "M{:.1},{top:.1} H{:.1} L{:.1},{floor:.1} H{:.1} Z",
            x - half,
            x + half,
            x + half * 0.7,
            x - half * 0.7
        );
        canvas.solid(&body, (x - half, top, half * 2.0, height), clay, Pattern::Plain);
        let collar = format!(
            "M{:.1},{:.1} H{:.1} V{:.1} H{:.1} Z",
            x - half - 5.0,
            top - 8.0,
            x + half + 5.0,
            top + 12.0,
            x - half - 5.0
        );
        canvas.solid(&collar, (x - half - 5.0, top - 8.0, half * 2.0 + 10.0, 20.0), clay.lighter(0.08), Pattern::Plain);
    }
    sprig(canvas, 278.0, 266.0, 78.0);
}

/// A tall vase with reeds.
pub fn vase(canvas: &mut Canvas) {
    let main = canvas.palette.main;
    canvas.shadow(206.0, 330.0, 86.0, 14.0);
    for (tip, top) in [(150.0, 52.0), (184.0, 30.0), (214.0, 44.0), (252.0, 60.0)] {
        canvas.line(&format!("M200,190 Q{:.1},120 {tip:.1},{top:.1}", (200.0 + tip) / 2.0), Colour::hex(0xa98a5b), 2.2);
        canvas.turned((tip - 200.0) * 0.35, tip, top, |canvas| {
            let plume = format!(
                "M{tip:.1},{:.1} C{:.1},{:.1} {:.1},{:.1} {tip:.1},{:.1} C{:.1},{:.1} {:.1},{:.1} {tip:.1},{:.1} Z",
                top + 50.0,
                tip - 16.0,
                top + 30.0,
                tip - 10.0,
                top - 4.0,
                top - 18.0,
                tip + 10.0,
                top - 4.0,
                tip + 16.0,
                top + 30.0,
                top + 50.0
            );
            canvas.solid(&plume, (tip - 14.0, top - 18.0, 28.0, 68.0), Colour::hex(0xdcc39a), Pattern::Plain);
        });
    }
    let glaze = canvas.choices.one_of(&POTS);
    canvas.solid("M182,174 H218 C214,206 258,228 258,272 C258,308 238,330 214,330 H186 C162,330 142,308 142,272 C142,228 186,206 182,174 Z", (142.0, 174.0, 116.0, 156.0), main, glaze);
    canvas.ellipse(200.0, 174.0, 18.0, 4.5, &main.darker(0.35).css());
}

/// Three small vases with a flower each.
pub fn bud_vases(canvas: &mut Canvas) {
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    canvas.shadow(204.0, 330.0, 136.0, 15.0);
    for (x, tall, wide, tone, bloom) in [
        (126.0_f32, 96.0_f32, 34.0_f32, second, 0xe9a23b_u32),
        (204.0, 138.0, 36.0, main, 0x8d7bb5),
        (280.0, 84.0, 38.0, main.lighter(0.35), 0xd9606a),
    ] {
        let top = 330.0 - tall;
        let stem = top - 76.0;
        canvas.line(
            &format!("M{x:.1},{top:.1} Q{:.1},{:.1} {x:.1},{stem:.1}", x + 10.0, top - 38.0),
            Colour::hex(0x5f8a5a),
            2.6,
        );
        leaf(canvas, (x + 4.0, top - 26.0), 44.0, 32.0, 8.0, Colour::hex(0x6f9a6c));
        let petal = Colour::hex(bloom);
        for turn in 0..7 {
            canvas.turned(turn as f32 * 51.4, x, stem, |canvas| {
                canvas.ellipse(x, stem - 13.0, 7.0, 13.0, &petal.mix(WHITE, 0.12 * (turn % 2) as f32).css());
            });
        }
        canvas.ellipse(x, stem, 7.5, 7.5, "#6d4a2c");
        let body = format!(
            "M{:.1},{top:.1} H{:.1} C{:.1},{:.1} {:.1},{:.1} {:.1},330 H{:.1} C{:.1},{:.1} {:.1},{:.1} {:.1},{top:.1} Z",
            x - 9.0,
            x + 9.0,
            x + 7.0,
            top + tall * 0.45,
            x + wide,
            top + tall * 0.5,
            x + wide * 0.7,
            x - wide * 0.7,
            x - wide,
            top + tall * 0.5,
            x - 7.0,
            top + tall * 0.45,
            x - 9.0
        );
        canvas.solid(&body, (x - wide, top, wide * 2.0, tall), tone, Pattern::Specks);
    }
}

/// A watering can with a long neck.
pub fn watering_can(canvas: &mut Canvas) {
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    canvas.shadow(216.0, 330.0, 124.0, 15.0);
    canvas.line("M262,190 C346,160 340,306 270,292", second.darker(0.2), 12.0);
    canvas.line("M170,290 C120,280 118,190 66,130", main.darker(0.12), 15.0);
    canvas.line("M54,136 L80,122", main.darker(0.2), 12.0);
    canvas.solid(
        "M156,188 H270 C284,220 286,290 280,316 Q278,330 262,330 H170 Q154,330 152,316 C146,290 146,220 156,188 Z",
        (148.0, 188.0, 138.0, 142.0),
        main,
        Pattern::Plain,
    );
    canvas.faint_line("M153,230 H281 M151,288 H283", second, 5.0, 0.9);
    canvas.ellipse(213.0, 188.0, 57.0, 11.0, &main.darker(0.3).css());
    canvas.faint_line("M156,188 a57,11 0 0 1 114,0", main.lighter(0.4), 3.0, 0.9);
    canvas.line("M176,186 C180,130 246,130 250,186", second.darker(0.1), 8.0);
    for (x, y) in [(44.0, 160.0), (52.0, 184.0), (34.0, 196.0), (46.0, 218.0), (30.0, 236.0)] {
        canvas.veil(&format!("M{x:.1},{y:.1} q-6,10 0,14 q6,-4 0,-14 Z"), Colour::hex(0x5f9ec4), 0.7);
    }
}
