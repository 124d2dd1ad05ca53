//! Things for out of doors.

use super::canvas::{Canvas, Pattern};
use super::colour::{Colour, SHADE, WHITE};
use super::lights::flame;

/// A tent with its door open.
pub fn tent(canvas: &mut Canvas) {
    let (main, second, dark) = (canvas.palette.main, canvas.palette.second, canvas.palette.dark);
    canvas.shadow(204.0, 338.0, 170.0, 17.0);
    canvas.faint_line("M192,132 L44,344 M208,132 L362,344", dark, 1.8, 0.5);
    canvas.fill("M200,128 L346,330 L236,338 Z", &main.darker(0.25).css());
    canvas.flat("M200,128 L236,338 H66 Z", (66.0, 128.0, 170.0, 210.0), main, Pattern::Plain);
    let night = canvas.down(&[(0.0, dark, 1.0), (1.0, dark.mix(canvas.palette.sun, 0.45), 1.0)]);
    canvas.fill("M194,182 Q172,270 140,338 H222 Q206,262 194,182 Z", &night);
    canvas.fill("M194,182 Q168,262 118,338 L144,338 Q178,264 194,182 Z", &second.css());
    canvas.fill("M194,182 Q208,262 224,338 L212,338 Q204,260 194,182 Z", &second.darker(0.1).css());
    canvas.line("M200,128 L236,338", main.darker(0.4), 2.4);
    canvas.veil("M200,128 L92,302 L78,320 L196,136 Z", WHITE, 0.22);
    for (x, y) in [(60.0, 340.0), (236.0, 342.0), (352.0, 334.0)] {
        canvas.line(&format!("M{x:.1},{y:.1} l4,9"), dark, 3.5);
    }
    canvas.fill("M200,128 l0,-26 l24,8 l-24,9 Z", &second.css());
}

/// A bowl for a fire.
pub fn fire_bowl(canvas: &mut Canvas) {
    let dark = canvas.palette.dark;
    canvas.shadow(204.0, 344.0, 140.0, 17.0);
    canvas.glow(200.0, 214.0, 170.0);
    for (x, lean) in [(140.0, -14.0), (200.0, 0.0), (260.0, 14.0)] {
        canvas.line(&format!("M{x:.1},290 l{lean:.1},54"), dark, 9.0);
    }
    for (degrees, tone) in [(-16.0, 0x8a5f3f_u32), (14.0, 0x74492f), (-3.0, 0x9a6d49)] {
        canvas.turned(degrees, 200.0, 240.0, |canvas| {
            canvas.solid(
                "M122,230 H278 Q286,230 286,240 Q286,250 278,250 H122 Q114,250 114,240 Q114,230 122,230 Z",
                (114.0, 230.0, 172.0, 20.0),
                Colour::hex(tone),
                Pattern::Plain,
            );
        });
    }
    for (x, size) in [(160.0, 2.0), (238.0, 2.1), (200.0, 3.2), (182.0, 2.4), (218.0, 2.3)] {
        flame(canvas, x, 246.0, size);
    }
    for (x, y) in [(150.0, 118.0), (226.0, 96.0), (252.0, 132.0), (186.0, 82.0)] {
        canvas.ellipse(x, y, 2.4, 2.4, "#ffb347");
    }
    canvas.solid(
        "M84,244 H316 C308,288 262,312 200,312 C138,312 92,288 84,244 Z",
        (84.0, 244.0, 232.0, 68.0),
        dark.lighter(0.14),
        Pattern::Plain,
    );
    canvas.faint_line("M84,244 H316", Colour::hex(0xd98a4a), 5.0, 0.9);
    canvas.veil("M108,264 q18,34 70,40 q-44,-18 -52,-40 Z", WHITE, 0.16);
}

/// A hammock between two trees.
pub fn hammock(canvas: &mut Canvas) {
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    canvas.shadow(200.0, 336.0, 140.0, 14.0);
    for (x, width) in [(36.0, 26.0), (338.0, 28.0)] {
        canvas.wood(&format!("M{x:.1},0 h{width:.1} l6,340 h-{:.1} Z", width + 12.0), 0.4);
    }
    let leaves = Colour::hex(0x5d8c62).mix(main, 0.12);
    for (x, y, reach) in [(40.0, 16.0, 66.0), (98.0, 4.0, 46.0), (356.0, 12.0, 70.0), (298.0, 2.0, 44.0)] {
        canvas.ellipse(x, y, reach, reach * 0.62, &leaves.css());
        canvas.ellipse(x - 10.0, y - 8.0, reach * 0.7, reach * 0.42, &leaves.lighter(0.14).css());
    }
    for drop in [0.0, 8.0, 16.0, 24.0] {
        canvas.faint_line(
            &format!("M54,142 L104,{:.1} M350,142 L298,{:.1}", 186.0 + drop, 186.0 + drop),
            canvas.palette.dark,
            1.8,
            0.8,
        );
    }
    let weave = canvas.choices.one_of(&[Pattern::Bands, Pattern::Zigzag, Pattern::Waves]);
    canvas.flat(
        "M100,180 C140,236 260,236 302,180 L304,214 C270,306 132,306 98,214 Z",
        (98.0, 180.0, 206.0, 112.0),
        main,
        weave,
    );
    canvas.fill("M100,180 C140,236 260,236 302,180 C262,214 140,214 100,180 Z", &main.darker(0.35).css());
    canvas.turned(24.0, 140.0, 200.0, |canvas| {
        canvas.solid(
            "M112,186 Q142,194 174,186 Q170,206 174,224 Q142,218 112,224 Q116,206 112,186 Z",
            (112.0, 186.0, 62.0, 38.0),
            second,
            Pattern::Plain,
        );
    });
    canvas.veil("M98,214 C132,306 270,306 304,214 L300,236 C262,316 140,316 102,236 Z", SHADE, 0.12);
}

/// A rucksack for a day.
pub fn rucksack(canvas: &mut Canvas) {
    let (main, second, dark) = (canvas.palette.main, canvas.palette.second, canvas.palette.dark);
    let leather = Colour::hex(0x9a6440);
    canvas.shadow(206.0, 338.0, 112.0, 15.0);
    canvas.line("M136,150 C104,190 108,270 130,312 M264,150 C296,190 292,270 270,312", dark, 13.0);
    canvas.line("M176,92 C176,58 224,58 224,92", dark, 8.0);
    canvas.solid(
        "M128,158 C128,108 158,86 200,86 C242,86 272,108 272,158 V312 Q272,338 246,338 H154 Q128,338 128,312 Z",
        (128.0, 86.0, 144.0, 252.0),
        main,
        Pattern::Plain,
    );
    canvas.solid(
        "M150,244 Q150,232 162,232 H238 Q250,232 250,244 V302 Q250,318 234,318 H166 Q150,318 150,302 Z",
        (150.0, 232.0, 100.0, 86.0),
        main.darker(0.14),
        Pattern::Plain,
    );
    canvas.faint_line("M152,252 H248", second, 3.0, 0.9);
    canvas.solid(
        "M122,150 C122,106 158,82 200,82 C242,82 278,106 278,150 C278,182 262,196 200,196 C138,196 122,182 122,150 Z",
        (122.0, 82.0, 156.0, 114.0),
        main.lighter(0.1),
        Pattern::Plain,
    );
    for x in [160.0, 226.0] {
        canvas.block((x, 168.0, 14.0, 56.0), 4.0, &leather.css());
        canvas.block((x - 2.0, 196.0, 18.0, 13.0), 3.0, "#d9b45f");
    }
    canvas.fill("M176,128 l24,-30 11,14 8,-9 18,25 Z", &second.css());
    canvas.block((174.0, 282.0, 52.0, 18.0), 3.0, &leather.css());
}

/// A hamper with a cloth and a loaf.
pub fn hamper(canvas: &mut Canvas) {
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    let wicker = Colour::hex(0xbf8d52);
    canvas.shadow(204.0, 334.0, 150.0, 16.0);
    canvas.line("M110,212 C110,84 290,84 290,212", wicker.darker(0.2), 13.0);
    canvas.faint_line("M110,212 C110,84 290,84 290,212", wicker.lighter(0.3), 3.0, 0.7);
    canvas.solid(
        "M236,206 L250,116 Q254,106 262,108 V96 H274 V110 Q284,114 282,124 L274,206 Z",
        (236.0, 96.0, 48.0, 110.0),
        Colour::hex(0x4d6b4a),
        Pattern::Plain,
    );
    canvas.turned(-24.0, 160.0, 190.0, |canvas| {
        canvas.solid(
            "M138,110 Q162,98 182,112 L188,214 H136 Z",
            (136.0, 100.0, 52.0, 114.0),
            Colour::hex(0xcf9350),
            Pattern::Plain,
        );
        canvas.faint_line(
            "M146,130 q16,8 32,0 M146,152 q16,8 34,0 M146,174 q16,8 34,0",
            Colour::hex(0xf4ddb4),
            5.0,
            0.9,
        );
    });
    canvas.flat(
        "M84,214 Q120,190 200,200 Q280,190 316,214 L304,262 L268,232 L228,268 L190,234 L150,266 L118,234 L92,258 Z",
        (84.0, 190.0, 232.0, 78.0),
        second,
        Pattern::Plain,
    );
    canvas.inside(
        "M84,214 Q120,190 200,200 Q280,190 316,214 L304,262 L268,232 L228,268 L190,234 L150,266 L118,234 L92,258 Z",
        |canvas| {
            for step in 0..14 {
                let x = 70.0 + step as f32 * 19.0;
                canvas.faint_line(&format!("M{x:.1},186 v90"), main, 7.0, 0.45);
            }
            for step in 0..5 {
                canvas.faint_line(&format!("M70,{:.1} h260", 198.0 + step as f32 * 18.0), main, 7.0, 0.45);
            }
        },
    );
    let body = "M84,236 H316 L298,324 Q296,334 284,334 H116 Q104,334 102,324 Z";
    canvas.inside(body, |canvas| {
        canvas.veil("M0,262 H400 V340 H0 Z", wicker, 1.0);
        for row in 0..5 {
            let y = 268.0 + row as f32 * 15.0;
            for step in 0..15 {
                let x = 78.0 + step as f32 * 17.0 + if row % 2 == 0 { 0.0 } else { 8.5 };
                canvas.faint_line(
                    &format!("M{x:.1},{y:.1} q8,8 16,0"),
                    if step % 2 == 0 { wicker.darker(0.3) } else { wicker.lighter(0.3) },
                    6.5,
                    0.75,
                );
            }
        }
    });
    canvas.faint_line("M91,262 H309", wicker.darker(0.3), 8.0, 1.0);
    let light = canvas.across(&[(0.0, WHITE, 0.15), (0.4, WHITE, 0.0), (1.0, SHADE, 0.3)]);
    canvas.fill("M90,260 H310 L298,324 Q296,334 284,334 H116 Q104,334 102,324 Z", &light);
}

/// A set of garden tools.
pub fn tools(canvas: &mut Canvas) {
    let (main, dark) = (canvas.palette.main, canvas.palette.dark);
    let steel = Colour::hex(0xb9c2c8);
    canvas.shadow(206.0, 346.0, 140.0, 14.0);
    for (x, lean) in [(120.0_f32, -9.0_f32), (200.0, 0.0), (280.0, 9.0)] {
        canvas.turned(lean, x, 330.0, |canvas| {
            canvas.wood(
                &format!("M{:.1},70 Q{x:.1},54 {:.1},70 L{:.1},168 H{:.1} Z", x - 12.0, x + 12.0, x + 9.0, x - 9.0),
                0.08,
            );
            canvas.solid(
                &format!("M{:.1},150 h24 v26 h-24 Z", x - 12.0),
                (x - 12.0, 150.0, 24.0, 26.0),
                main,
                Pattern::Plain,
            );
            canvas.line(&format!("M{x:.1},60 q-10,-18 0,-24 q10,6 0,24"), main, 3.0);
            canvas.line(&format!("M{x:.1},176 v36"), steel.darker(0.25), 8.0);
            if x < 150.0 {
                let blade = format!(
                    "M{:.1},212 Q{x:.1},200 {:.1},212 V280 Q{:.1},330 {x:.1},344 Q{:.1},330 {:.1},280 Z",
                    x - 32.0,
                    x + 32.0,
                    x + 30.0,
                    x - 30.0,
                    x - 32.0
                );
                canvas.solid(&blade, (x - 32.0, 206.0, 64.0, 138.0), steel, Pattern::Plain);
                canvas.faint_line(&format!("M{x:.1},222 V318"), dark, 2.0, 0.35);
            } else if x < 250.0 {
                canvas.line(
                    &format!(
                        "M{:.1},342 V246 Q{:.1},216 {x:.1},216 Q{:.1},216 {:.1},246 V342 M{x:.1},216 V346",
                        x - 30.0,
                        x - 30.0,
                        x + 30.0,
                        x + 30.0
                    ),
                    steel.darker(0.1),
                    9.0,
                );
            } else {
                let blade = format!(
                    "M{:.1},212 H{:.1} L{:.1},318 L{x:.1},346 L{:.1},318 Z",
                    x - 15.0,
                    x + 15.0,
                    x + 11.0,
                    x - 11.0
                );
                canvas.solid(&blade, (x - 15.0, 212.0, 30.0, 134.0), steel, Pattern::Plain);
                canvas.faint_line(
                    &format!(
                        "M{:.1},232 h7 M{:.1},252 h7 M{:.1},272 h7 M{:.1},292 h7",
                        x - 4.0,
                        x - 4.0,
                        x - 4.0,
                        x - 4.0
                    ),
                    dark,
                    2.0,
                    0.5,
                );
            }
        });
    }
}
