//! Woven, knitted and quilted things.

use super::canvas::{Canvas, Pattern};
use super::colour::{Colour, WHITE};

const WEAVES: [Pattern; 4] = [Pattern::Zigzag, Pattern::Dots, Pattern::Leaves, Pattern::Waves];

/// A stack of folded blankets.
pub fn blanket(canvas: &mut Canvas) {
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    canvas.shadow(204.0, 328.0, 150.0, 16.0);
    let weave = canvas.choices.one_of(&[Pattern::Zigzag, Pattern::Bands, Pattern::Ribs]);
    for (row, tone) in [main.darker(0.18), second, main].into_iter().enumerate() {
        let bottom = 326.0 - row as f32 * 54.0;
        let (left, right) = (70.0 + row as f32 * 5.0, 330.0 - row as f32 * 5.0);
        let path = format!(
            "M{left:.1},{:.1} Q{left:.1},{:.1} {:.1},{:.1} H{:.1} Q{right:.1},{:.1} {right:.1},{:.1} Q{right:.1},{bottom:.1} {:.1},{bottom:.1} H{:.1} Q{left:.1},{bottom:.1} {left:.1},{:.1} Z",
            bottom - 27.0,
            bottom - 54.0,
            left + 26.0,
            bottom - 54.0,
            right - 20.0,
            bottom - 52.0,
            bottom - 30.0,
            right - 18.0,
            left + 24.0,
            bottom - 27.0
        );
        let pattern = if row == 1 { Pattern::Ribs } else { weave };
        canvas.solid(&path, (left, bottom - 54.0, right - left, 54.0), tone, pattern);
        canvas.faint_line(
            &format!("M{:.1},{:.1} H{:.1}", left + 22.0, bottom - 27.0, right - 8.0),
            tone.darker(0.35),
            2.0,
            0.5,
        );
    }
    fringe(canvas, 86.0, 314.0, 164.0);
}

fn fringe(canvas: &mut Canvas, left: f32, right: f32, y: f32) {
    let tone = canvas.palette.second;
    let mut at = left + 8.0;
    while at < right {
        let sway = canvas.choices.between(-2.5, 2.5);
        canvas.line(&format!("M{at:.1},{y:.1} q{sway:.1},7 0,15"), tone.darker(0.06), 2.4);
        at += 8.0;
    }
}

/// A throw over a rail.
pub fn throw(canvas: &mut Canvas) {
    let main = canvas.palette.main;
    canvas.shadow(206.0, 350.0, 124.0, 13.0);
    canvas.wood("M70,108 H330 V120 H70 Z", 0.12);
    canvas.wood("M76,108 H88 L82,350 H70 Z", 0.18);
    canvas.wood("M324,108 H312 L318,350 H330 Z", 0.24);
    canvas.flat(
        "M130,104 Q200,96 286,104 L290,214 Q250,224 210,214 L130,220 Z",
        (130.0, 98.0, 160.0, 122.0),
        main.darker(0.2),
        Pattern::Plain,
    );
    let weave = canvas.choices.one_of(&WEAVES);
    canvas.flat(
        "M112,104 Q118,96 130,98 H258 Q268,96 272,106 L280,300 Q240,312 200,302 Q150,292 106,304 Z",
        (106.0, 96.0, 174.0, 214.0),
        main,
        weave,
    );
    for x in [148.0, 196.0, 240.0] {
        canvas.faint_line(&format!("M{x:.1},106 q8,90 -2,190"), main.darker(0.5), 5.0, 0.16);
    }
    fringe(canvas, 104.0, 282.0, 302.0);
}

/// A cushion; `wide` ones lie on the floor.
pub fn cushion(canvas: &mut Canvas, wide: bool) {
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    if wide {
        canvas.shadow(204.0, 332.0, 160.0, 18.0);
        let weave = canvas.choices.one_of(&WEAVES);
        canvas.solid(
            "M60,256 Q64,222 100,224 H300 Q336,222 340,256 V300 Q336,332 300,330 H100 Q64,332 60,300 Z",
            (60.0, 222.0, 280.0, 110.0),
            main,
            weave,
        );
        canvas.ellipse(200.0, 240.0, 136.0, 26.0, &main.lighter(0.14).css());
        canvas.ellipse(200.0, 240.0, 9.0, 4.0, &second.css());
        canvas.faint_line("M62,280 H338", second, 4.0, 0.9);
        return;
    }
    canvas.shadow(206.0, 330.0, 136.0, 16.0);
    canvas.turned(8.0, 236.0, 220.0, |canvas| {
        canvas.solid(
            "M142,118 Q230,138 318,118 Q302,214 318,312 Q230,296 142,312 Q158,214 142,118 Z",
            (142.0, 118.0, 176.0, 194.0),
            second,
            Pattern::Plain,
        );
    });
    canvas.turned(-5.0, 180.0, 230.0, |canvas| {
        let weave = canvas.choices.one_of(&[Pattern::Bands, Pattern::Leaves, Pattern::Waves, Pattern::Zigzag]);
        canvas.solid(
            "M82,138 Q180,160 278,138 Q260,234 278,330 Q180,310 82,330 Q100,234 82,138 Z",
            (82.0, 138.0, 196.0, 192.0),
            main,
            weave,
        );
        canvas.faint_line("M92,150 Q180,170 268,150", main.darker(0.4), 2.0, 0.5);
        canvas.faint_line("M106,190 q-4,40 0,84", WHITE, 5.0, 0.18);
    });
}

/// A rug, seen a little from above; `long` ones are runners.
pub fn rug(canvas: &mut Canvas, long: bool) {
    let (main, second, dark) = (canvas.palette.main, canvas.palette.second, canvas.palette.dark);
    let (top, far, near) = if long { (156.0_f32, 66.0_f32, 96.0_f32) } else { (206.0, 116.0, 160.0) };
    canvas.veil(
        &format!("M{:.1},{top:.1} H{:.1} L{:.1},376 H{:.1} Z", 204.0 - far, 206.0 + far, 208.0 + near, 204.0 - near),
        dark,
        0.16,
    );
    let edge = |share: f32| (far + (near - far) * share, top + (368.0 - top) * share);
    let path =
        format!("M{:.1},{top:.1} H{:.1} L{:.1},368 H{:.1} Z", 200.0 - far, 200.0 + far, 200.0 + near, 200.0 - near);
    canvas.fill(&path, &main.css());
    canvas.inside(&path, |canvas| {
        for (from, to, tone) in [(0.05, 0.10, second), (0.13, 0.15, dark), (0.85, 0.87, dark), (0.91, 0.96, second)] {
            let ((_, y_from), (_, y_to)) = (edge(from), edge(to));
            canvas.block((0.0, y_from, 400.0, y_to - y_from), 0.0, &tone.css());
        }
        let rows = if long { 5 } else { 3 };
        for row in 0..rows {
            let middle = 0.24 + (row as f32 + 0.5) * 0.54 / rows as f32;
            let (half, y) = edge(middle);
            let reach = half * 0.62;
            let tall = (368.0 - top) * 0.25 / rows as f32;
            for (shrink, tone) in [(1.0, second), (0.7, main.darker(0.25)), (0.38, second.lighter(0.3))] {
                let diamond = format!(
                    "M200,{:.1} l{:.1},{:.1} l-{:.1},{:.1} l-{:.1},-{:.1} Z",
                    y - tall * shrink,
                    reach * shrink,
                    tall * shrink,
                    reach * shrink,
                    tall * shrink,
                    reach * shrink,
                    tall * shrink
                );
                canvas.fill(&diamond, &tone.css());
            }
        }
        canvas.veil("M0,0 H150 L60,400 H0 Z", WHITE, 0.10);
    });
    let mut at = -near + 4.0;
    while at < near {
        canvas.line(&format!("M{:.1},368 l{:.1},13", 200.0 + at, at * 0.03), second.darker(0.08), 2.6);
        at += 9.0;
    }
}

/// Towels: rolled and folded, or hung thin from pegs when `linen`.
pub fn towel(canvas: &mut Canvas, linen: bool) {
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    if linen {
        canvas.wood("M60,92 H340 V108 H60 Z", 0.06);
        for (x, tone, pattern) in
            [(118.0, main, Pattern::Bands), (200.0, second, Pattern::Ribs), (282.0, main.lighter(0.3), Pattern::Leaves)]
        {
            canvas.line(&format!("M{x:.1},100 v14"), Colour::hex(0x8a6240), 9.0);
            let path = format!(
                "M{x:.1},112 C{:.1},122 {:.1},128 {:.1},140 L{:.1},292 Q{x:.1},302 {:.1},292 L{:.1},140 C{:.1},128 {:.1},122 {x:.1},112 Z",
                x + 12.0,
                x + 26.0,
                x + 32.0,
                x + 35.0,
                x - 35.0,
                x - 32.0,
                x - 26.0,
                x - 12.0
            );
            canvas.flat(&path, (x - 36.0, 112.0, 72.0, 186.0), tone, pattern);
            // Pale linen against a pale wall needs its edge.
            canvas.faint_line(&path, tone.darker(0.5), 1.4, 0.3);
            canvas.faint_line(&format!("M{x:.1},130 q5,70 -2,158"), tone.darker(0.5), 4.0, 0.18);
        }
        return;
    }
    canvas.shadow(204.0, 328.0, 140.0, 16.0);
    for (row, tone) in [second, main, second.mix(main, 0.4)].into_iter().enumerate() {
        let y = 286.0 - row as f32 * 40.0;
        let path = format!(
            "M78,{:.1} Q78,{y:.1} 96,{y:.1} H304 Q322,{y:.1} 322,{:.1} Q322,{:.1} 304,{:.1} H96 Q78,{:.1} 78,{:.1} Z",
            y + 20.0,
            y + 20.0,
            y + 40.0,
            y + 40.0,
            y + 40.0,
            y + 20.0
        );
        canvas.solid(&path, (78.0, y, 244.0, 40.0), tone, Pattern::Plain);
        canvas.faint_line(&format!("M96,{:.1} H316", y + 20.0), tone.darker(0.4), 2.0, 0.4);
        canvas.faint_line(&format!("M250,{:.1} v32 M260,{:.1} v32", y + 4.0, y + 4.0), tone.lighter(0.6), 3.0, 0.7);
    }
    for (x, tone) in [(150.0, main), (232.0, main.darker(0.15))] {
        let roll = canvas.outward(&[(0.0, tone.darker(0.25), 1.0), (0.3, tone, 1.0), (1.0, tone.lighter(0.1), 1.0)]);
        canvas.ellipse(x, 168.0, 38.0, 38.0, &roll);
        canvas.faint_line(
            &format!("M{x:.1},168 m-4,0 a8,8 0 1 1 12,7 a17,17 0 1 1 10,-20 a27,27 0 1 1 -34,-9"),
            tone.darker(0.45),
            2.4,
            0.55,
        );
    }
}

/// A made bed, from its foot.
pub fn bedding(canvas: &mut Canvas) {
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    canvas.shadow(204.0, 354.0, 180.0, 14.0);
    canvas.wood("M52,120 Q52,104 68,104 H332 Q348,104 348,120 V260 H52 Z", 0.1);
    for (x, tone) in [(74.0, second), (208.0, second.darker(0.06))] {
        let pillow = format!(
            "M{x:.1},190 Q{:.1},160 {:.1},172 H{:.1} Q{:.1},160 {:.1},190 V226 H{x:.1} Z",
            x + 2.0,
            x + 24.0,
            x + 96.0,
            x + 118.0,
            x + 120.0
        );
        canvas.solid(&pillow, (x, 164.0, 120.0, 62.0), tone.lighter(0.2), Pattern::Plain);
    }
    canvas.solid(
        "M44,238 C60,214 120,224 200,216 C280,224 340,212 356,238 L364,330 Q364,350 346,350 H54 Q36,350 36,330 Z",
        (36.0, 212.0, 328.0, 138.0),
        main,
        Pattern::Leaves,
    );
    canvas.solid("M44,238 C60,214 120,224 200,216 C280,224 340,212 356,238 L358,256 C300,240 250,246 200,240 C140,248 90,240 42,258 Z", (42.0, 212.0, 316.0, 46.0), second, Pattern::Plain);
    for x in [110.0, 190.0, 286.0] {
        canvas.faint_line(&format!("M{x:.1},250 q-10,50 4,96"), main.darker(0.5), 6.0, 0.13);
    }
}
