//! Things that give light, seen in the evening.

use super::canvas::{Canvas, Pattern};
use super::colour::{Colour, WHITE};

const SHADES: [Pattern; 4] = [Pattern::Plain, Pattern::Ribs, Pattern::Bands, Pattern::Waves];

/// Brass: most of the shop's lights have some.
const BRASS: Colour = Colour::hex(0xc9a25a);

fn shade(canvas: &mut Canvas, path: &str, bounds: (f32, f32, f32, f32)) {
    let pattern = canvas.choices.one_of(&SHADES);
    let main = canvas.palette.main;
    canvas.solid(path, bounds, main, pattern);
    let warm = canvas.palette.sun;
    let lit = canvas.down(&[(0.0, warm, 0.0), (0.6, warm, 0.35), (1.0, warm.lighter(0.4), 0.9)]);
    canvas.fill(path, &lit);
}

fn beam(canvas: &mut Canvas, left: f32, right: f32, top: f32) {
    let warm = canvas.palette.sun;
    let paint = canvas.down(&[(0.0, warm, 0.42), (1.0, warm, 0.0)]);
    canvas.fill(&format!("M{left:.1},{top:.1} H{right:.1} L{:.1},330 H{:.1} Z", right + 62.0, left - 62.0), &paint);
}

/// A lamp with a turned foot, for a table or beside a bed.
pub fn table_lamp(canvas: &mut Canvas) {
    canvas.glow(200.0, 180.0, 190.0);
    canvas.shadow(204.0, 327.0, 92.0, 13.0);
    let second = canvas.palette.second;
    let foot = canvas.choices.one_of(&[
        "M186,190 H214 V206 C262,220 262,290 226,312 H236 V326 H164 V312 H174 C138,290 138,220 186,206 Z",
        "M190,190 H210 V218 C226,222 226,240 210,246 C250,258 250,304 216,312 H240 V326 H160 V312 H184 C150,304 150,258 190,246 C174,240 174,222 190,218 Z",
        "M192,190 H208 V300 C230,302 246,312 246,326 H154 C154,312 170,302 192,300 Z",
    ]);
    let glaze = canvas.choices.one_of(&[Pattern::Plain, Pattern::Specks, Pattern::Ribs]);
    canvas.solid(foot, (138.0, 190.0, 124.0, 136.0), second, glaze);
    beam(canvas, 120.0, 280.0, 192.0);
    let top = canvas.choices.one_of(&[
        "M160,88 H240 L284,192 Q200,204 116,192 Z",
        "M138,96 Q200,84 262,96 L274,192 Q200,204 126,192 Z",
        "M118,192 C118,116 150,84 200,84 C250,84 282,116 282,192 Q200,204 118,192 Z",
    ]);
    shade(canvas, top, (114.0, 84.0, 172.0, 118.0));
    canvas.faint_line("M240,198 v34", BRASS, 2.0, 0.9);
    canvas.ellipse(240.0, 236.0, 4.0, 4.0, &BRASS.css());
}

/// A lamp that hangs from the ceiling.
pub fn pendant(canvas: &mut Canvas) {
    let dark = canvas.palette.dark;
    canvas.line("M200,0 V96", dark, 3.5);
    canvas.glow(200.0, 206.0, 180.0);
    beam(canvas, 104.0, 296.0, 212.0);
    canvas.block((184.0, 88.0, 32.0, 26.0), 5.0, &BRASS.css());
    let path = canvas.choices.one_of(&[
        "M178,112 H222 C270,122 304,164 308,212 Q200,228 92,212 C96,164 130,122 178,112 Z",
        "M182,112 H218 C226,150 290,156 304,212 Q200,230 96,212 C110,156 174,150 182,112 Z",
    ]);
    shade(canvas, path, (92.0, 112.0, 216.0, 116.0));
    let lit = canvas.palette.sun.lighter(0.6);
    canvas.ellipse(200.0, 215.0, 84.0, 9.0, &lit.css());
    canvas.ellipse(200.0, 219.0, 18.0, 12.0, &WHITE.css());
    canvas.shadow(200.0, 344.0, 120.0, 16.0);
    canvas.wood("M78,330 H322 Q330,330 330,338 V346 H70 V338 Q70,330 78,330 Z", 0.25);
}

/// A globe of folded paper.
pub fn paper_moon(canvas: &mut Canvas) {
    let (main, dark) = (canvas.palette.main, canvas.palette.dark);
    canvas.line("M200,0 V74", dark, 3.0);
    canvas.glow(200.0, 182.0, 198.0);
    let warm = canvas.palette.sun;
    let paper = canvas.outward(&[(0.0, WHITE, 1.0), (0.5, warm.lighter(0.65), 1.0), (1.0, main.mix(warm, 0.35), 1.0)]);
    canvas.ellipse(200.0, 184.0, 116.0, 112.0, &paper);
    for index in 1..10 {
        let y = 72.0 + index as f32 * 22.4;
        let reach = 1.0 - ((y - 184.0) / 112.0).powi(2);
        let half = 116.0 * reach.max(0.0).sqrt();
        canvas.faint_line(
            &format!("M{:.1},{y:.1} q{half:.1},9 {:.1},0", 200.0 - half, half * 2.0),
            dark.mix(warm, 0.45),
            1.5,
            0.55,
        );
    }
    canvas.block((184.0, 66.0, 32.0, 9.0), 4.0, &dark.css());
    canvas.block((184.0, 292.0, 32.0, 7.0), 3.0, &dark.css());
    canvas.shadow(200.0, 348.0, 110.0, 14.0);
}

/// A tall lamp that bends over the reader.
pub fn floor_lamp(canvas: &mut Canvas) {
    let dark = canvas.palette.dark;
    canvas.glow(148.0, 150.0, 150.0);
    canvas.shadow(262.0, 350.0, 72.0, 12.0);
    beam(canvas, 104.0, 192.0, 152.0);
    canvas.line("M262,346 C276,220 268,62 196,66 C164,68 150,86 148,104", BRASS.darker(0.1), 7.0);
    canvas.faint_line("M260,340 C273,220 266,66 197,69", BRASS.lighter(0.5), 2.0, 0.8);
    canvas.solid(
        "M214,342 Q262,330 310,342 V352 H214 Z",
        (214.0, 332.0, 96.0, 20.0),
        dark.lighter(0.15),
        Pattern::Plain,
    );
    shade(
        canvas,
        "M136,102 H160 C184,110 200,130 202,152 Q148,164 94,152 C96,130 112,110 136,102 Z",
        (94.0, 102.0, 108.0, 60.0),
    );
    canvas.ellipse(148.0, 157.0, 18.0, 8.0, &WHITE.css());
}

/// A jointed lamp for a desk.
pub fn desk_lamp(canvas: &mut Canvas) {
    let (main, dark) = (canvas.palette.main, canvas.palette.dark);
    canvas.glow(122.0, 196.0, 150.0);
    beam(canvas, 86.0, 160.0, 190.0);
    canvas.shadow(256.0, 330.0, 82.0, 13.0);
    canvas.line("M250,314 L284,204 L176,128", BRASS, 8.0);
    canvas.faint_line("M256,306 L288,208", BRASS.lighter(0.5), 2.0, 0.8);
    canvas.ellipse(284.0, 204.0, 11.0, 11.0, &dark.lighter(0.25).css());
    canvas.solid(
        "M190,326 C192,312 220,306 252,306 C284,306 312,312 314,326 Z",
        (190.0, 306.0, 124.0, 20.0),
        main,
        Pattern::Plain,
    );
    canvas.turned(-34.0, 150.0, 150.0, |canvas| {
        shade(
            canvas,
            "M134,104 H166 L176,126 C200,134 212,158 212,182 Q150,196 88,182 C88,158 100,134 124,126 Z",
            (88.0, 104.0, 124.0, 90.0),
        );
        canvas.ellipse(150.0, 186.0, 22.0, 10.0, &WHITE.css());
    });
    canvas.ellipse(176.0, 128.0, 9.0, 9.0, &dark.lighter(0.25).css());
    canvas.solid("M70,314 H168 V326 H70 Z", (70.0, 314.0, 98.0, 12.0), canvas.palette.second, Pattern::Plain);
    canvas.solid("M78,302 H160 V314 H78 Z", (78.0, 302.0, 82.0, 12.0), main.darker(0.3), Pattern::Plain);
}

/// A lantern with a handle, glass on all sides.
pub fn lantern(canvas: &mut Canvas) {
    let (dark, second) = (canvas.palette.dark, canvas.palette.second);
    let metal = second.mix(dark, 0.30);
    canvas.glow(200.0, 232.0, 176.0);
    canvas.shadow(204.0, 330.0, 96.0, 14.0);
    canvas.line("M146,150 C146,50 254,50 254,150", metal.lighter(0.1), 6.0);
    let glass = canvas.down(&[(0.0, WHITE, 0.20), (1.0, canvas.palette.sun, 0.45)]);
    canvas.block((144.0, 156.0, 112.0, 150.0), 12.0, &glass);
    canvas.solid("M176,258 H224 V306 H176 Z", (176.0, 258.0, 48.0, 48.0), Colour::hex(0xf7ecd6), Pattern::Plain);
    flame(canvas, 200.0, 256.0, 1.3);
    for x in [148.0, 200.0, 252.0] {
        canvas.faint_line(&format!("M{x:.1},156 V306"), metal, if x == 200.0 { 2.0 } else { 6.0 }, 0.85);
    }
    canvas.solid("M160,124 H240 L268,156 H132 Z", (132.0, 124.0, 136.0, 32.0), metal, Pattern::Plain);
    canvas.solid("M176,104 H224 V124 H176 Z", (176.0, 104.0, 48.0, 20.0), metal.darker(0.15), Pattern::Plain);
    canvas.solid(
        "M132,304 H268 V318 Q268,330 256,330 H144 Q132,330 132,318 Z",
        (132.0, 304.0, 136.0, 26.0),
        metal,
        Pattern::Plain,
    );
    canvas.faint_line("M158,166 V294", WHITE, 4.0, 0.5);
}

/// Three candles of different height.
pub fn candles(canvas: &mut Canvas) {
    canvas.glow(200.0, 150.0, 190.0);
    canvas.shadow(204.0, 330.0, 132.0, 15.0);
    let (main, second) = (canvas.palette.main, canvas.palette.second);
    for (x, top, tone) in [(134.0, 206.0, second), (200.0, 142.0, main), (266.0, 182.0, main.mix(second, 0.45))] {
        let (left, right) = (x - 25.0, x + 25.0);
        let wax = format!("M{left:.1},{top:.1} H{right:.1} V318 H{left:.1} Z");
        canvas.solid(&wax, (left, top, 50.0, 318.0 - top), tone, Pattern::Plain);
        let warm = canvas.palette.sun;
        let lit = canvas.down(&[(0.0, warm.lighter(0.5), 0.85), (0.35, warm, 0.2), (1.0, warm, 0.0)]);
        canvas.fill(&wax, &lit);
        canvas.ellipse(x, top, 25.0, 6.0, &tone.lighter(0.6).css());
        canvas.line(
            &format!("M{:.1},{top:.1} v20 M{:.1},{top:.1} v34", left + 9.0, right - 12.0),
            tone.lighter(0.4),
            5.0,
        );
        canvas.line(&format!("M{x:.1},{top:.1} v-10"), canvas.palette.dark, 2.5);
        flame(canvas, x, top - 8.0, 1.0);
        canvas.solid(
            &format!("M{:.1},316 H{:.1} q-4,14 -16,14 H{:.1} q-12,0 -16,-14 Z", x - 33.0, x + 33.0, x - 17.0),
            (x - 33.0, 316.0, 66.0, 14.0),
            BRASS,
            Pattern::Plain,
        );
    }
}

/// A flame that stands on a point.
pub fn flame(canvas: &mut Canvas, x: f32, y: f32, size: f32) {
    let (width, height) = (10.0 * size, 36.0 * size);
    let outer = format!(
        "M{x:.1},{y:.1} c-{width:.1},-4 -{width:.1},-{:.1} 0,-{height:.1} c{width:.1},{:.1} {width:.1},{:.1} 0,{height:.1} Z",
        height * 0.5,
        height * 0.5,
        height - 4.0
    );
    let paint = canvas.down(&[
        (0.0, Colour::hex(0xfff6d8), 1.0),
        (0.55, Colour::hex(0xffc65c), 1.0),
        (1.0, Colour::hex(0xee7f38), 1.0),
    ]);
    canvas.fill(&outer, &paint);
    canvas.ellipse(x, y - height * 0.22, width * 0.28, height * 0.16, "#fffbe9");
}
