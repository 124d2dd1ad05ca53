//! What a product stands in front of: a table by a wall, a room, the open air, or the evening. Drawn before the product itself.

use super::canvas::Canvas;
use super::colour::{SHADE, WHITE};

/// Where a product is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// On a table, from near.
    Table,
    /// In a room, from some steps away.
    Room,
    /// Out of doors.
    Meadow,
    /// In a room after sunset.
    Evening,
}

/// Fills the canvas.
pub fn draw(canvas: &mut Canvas, scene: Scene) {
    let palette = canvas.palette;
    let sky = canvas.down(&[(0.0, palette.sky, 1.0), (1.0, palette.haze, 1.0)]);
    canvas.block((0.0, 0.0, 400.0, 400.0), 0.0, &sky);
    match scene {
        Scene::Table => table(canvas),
        Scene::Room => room(canvas),
        Scene::Meadow => meadow(canvas),
        Scene::Evening => evening(canvas),
    }
}

fn table(canvas: &mut Canvas) {
    let palette = canvas.palette;
    let (x, y) = (canvas.choices.between(150.0, 250.0), canvas.choices.between(150.0, 185.0));
    let disc = canvas.down(&[(0.0, palette.sun, 1.0), (1.0, palette.sun.mix(palette.haze, 0.7), 1.0)]);
    canvas.ellipse(x, y, 128.0, 128.0, &disc);
    light_through_a_window(canvas);
    let top = canvas.down(&[(0.0, palette.ground.lighter(0.14), 1.0), (1.0, palette.ground.darker(0.07), 1.0)]);
    canvas.block((0.0, 286.0, 400.0, 114.0), 0.0, &top);
    canvas.block((0.0, 286.0, 400.0, 2.0), 0.0, &palette.ground.lighter(0.4).css());
}

fn room(canvas: &mut Canvas) {
    let palette = canvas.palette;
    let left = canvas.choices.between(70.0, 130.0);
    let arch = format!("M{left:.1},300 V150 a105,105 0 0 1 210,0 V300 Z");
    let paint = canvas.down(&[(0.0, palette.sun, 1.0), (1.0, palette.sun.mix(palette.haze, 0.75), 1.0)]);
    canvas.fill(&arch, &paint);
    light_through_a_window(canvas);
    canvas.block((0.0, 292.0, 400.0, 9.0), 0.0, &palette.sky.lighter(0.35).css());
    let floor = canvas.down(&[(0.0, palette.ground, 1.0), (1.0, palette.ground.lighter(0.12), 1.0)]);
    canvas.block((0.0, 301.0, 400.0, 99.0), 0.0, &floor);
    for (index, x) in [20.0_f32, 110.0, 200.0, 290.0, 380.0].into_iter().enumerate() {
        let lean = (index as f32 - 2.0) * 22.0;
        canvas.faint_line(&format!("M{x:.1},301 l{lean:.1},99"), palette.ground.darker(0.25), 1.2, 0.35);
    }
}

fn light_through_a_window(canvas: &mut Canvas) {
    let shift = canvas.choices.between(-30.0, 60.0);
    for (offset, width) in [(0.0, 54.0), (70.0, 54.0)] {
        let x = 20.0 + shift + offset;
        canvas.veil(&format!("M{x:.1},0 h{width:.1} l120,290 h-{width:.1} Z"), WHITE, 0.16);
    }
}

fn meadow(canvas: &mut Canvas) {
    let palette = canvas.palette;
    let x = canvas.choices.between(90.0, 310.0);
    let disc = canvas.down(&[(0.0, palette.sun.lighter(0.3), 1.0), (1.0, palette.sun, 1.0)]);
    canvas.ellipse(x, 120.0, 54.0, 54.0, &disc);
    for (cloud, y) in [(70.0_f32, 84.0_f32), (270.0, 62.0)] {
        let path = format!("M{cloud:.1},{y:.1} h74 a15,15 0 0 0 -12,-24 a22,22 0 0 0 -40,-5 a16,16 0 0 0 -22,29 Z");
        canvas.veil(&path, WHITE, 0.7);
    }
    let far = palette.haze.mix(palette.main, 0.22);
    let near = palette.ground.mix(palette.main, 0.16);
    canvas.fill("M0,262 C60,205 120,210 170,246 C220,196 300,186 400,250 V400 H0 Z", &far.css());
    canvas.fill("M0,286 C90,246 150,262 220,280 C280,252 350,252 400,276 V400 H0 Z", &near.css());
    for (x, height) in [(34.0_f32, 46.0_f32), (58.0, 34.0), (352.0, 52.0), (376.0, 36.0)] {
        let tree = format!("M{x:.1},{:.1} l-13,{height:.1} h26 Z", 276.0 - height);
        canvas.fill(&tree, &near.darker(0.26).css());
    }
    let ground = canvas.down(&[(0.0, palette.ground.lighter(0.12), 1.0), (1.0, palette.ground.darker(0.08), 1.0)]);
    canvas.fill("M0,300 C120,282 280,282 400,300 V400 H0 Z", &ground);
    for _ in 0..16 {
        let (x, y) = (canvas.choices.between(6.0, 390.0), canvas.choices.between(345.0, 394.0));
        canvas.faint_line(
            &format!("M{x:.1},{y:.1} q1,-6 -2,-10 M{x:.1},{y:.1} q2,-6 5,-9"),
            palette.ground.darker(0.4),
            1.5,
            0.5,
        );
    }
}

fn evening(canvas: &mut Canvas) {
    let palette = canvas.palette;
    let pane = canvas.down(&[(0.0, palette.sky.darker(0.25), 1.0), (1.0, palette.haze.mix(palette.sun, 0.35), 1.0)]);
    let left = canvas.choices.one_of(&[32.0_f32, 262.0]);
    canvas.block((left, 60.0, 106.0, 150.0), 8.0, &pane);
    for _ in 0..6 {
        let (x, y) = (canvas.choices.between(left + 8.0, left + 98.0), canvas.choices.between(68.0, 140.0));
        canvas.ellipse(x, y, 1.2, 1.2, &WHITE.css());
    }
    canvas.line(&format!("M{:.1},60 v150 M{left:.1},135 h106", left + 53.0), palette.sky.lighter(0.18), 4.0);
    canvas.faint_line(&format!("M{:.1},212 h122", left - 8.0), palette.sky.lighter(0.22), 6.0, 1.0);
    let floor = canvas.down(&[(0.0, palette.ground.lighter(0.10), 1.0), (1.0, palette.ground.darker(0.2), 1.0)]);
    canvas.block((0.0, 300.0, 400.0, 100.0), 0.0, &floor);
    canvas.veil("M0,300 H400 V303 H0 Z", SHADE, 0.4);
}
