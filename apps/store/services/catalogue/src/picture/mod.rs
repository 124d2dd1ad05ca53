//! Pictures of products, drawn by the program: an SVG from an id, its tags and its category. The same product always gets the same picture.
//! It reads no file and no clock.

mod canvas;
mod colour;
mod furniture;
mod lights;
mod outdoor;
mod plants;
mod scene;
mod textiles;
mod vessels;

use canvas::Canvas;
use colour::{Choices, DAY, DUSK, fingerprint};
use scene::Scene;

/// Part of every etag: raise it when any drawing changes.
const DRAWING: u32 = 1;

/// What a picture shows.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// The tag that asks for it.
    pub tag: &'static str,
    scene: Scene,
    draw: fn(&mut Canvas),
}

macro_rules! forms {
    ($($tag:literal, $scene:ident, $draw:expr;)*) => {
        /// Every form there is.
        pub const FORMS: &[Form] = &[$(Form { tag: $tag, scene: Scene::$scene, draw: $draw }),*];
    };
}

forms! {
    "mug", Table, vessels::mug;
    "cup", Table, vessels::cup;
    "bowl", Table, |canvas| vessels::bowl(canvas, false);
    "serving-bowl", Table, |canvas| vessels::bowl(canvas, true);
    "plate", Table, vessels::plate;
    "kettle", Table, vessels::kettle;
    "teapot", Table, vessels::teapot;
    "jar", Table, vessels::jar;
    "board", Table, vessels::board;
    "jug", Table, vessels::jug;
    "pan", Table, vessels::pan;
    "table-lamp", Evening, lights::table_lamp;
    "pendant", Evening, lights::pendant;
    "floor-lamp", Evening, lights::floor_lamp;
    "paper-lamp", Evening, lights::paper_moon;
    "lantern", Evening, lights::lantern;
    "candle", Evening, lights::candles;
    "desk-lamp", Evening, lights::desk_lamp;
    "chair", Room, furniture::chair;
    "armchair", Room, furniture::armchair;
    "stool", Room, furniture::stool;
    "bench", Room, furniture::bench;
    "table", Room, furniture::table;
    "side-table", Room, furniture::side_table;
    "ladder", Room, |canvas| furniture::shelves(canvas, true);
    "wall-shelf", Room, |canvas| furniture::shelves(canvas, false);
    "mirror", Room, furniture::mirror;
    "camp-chair", Meadow, furniture::camp_chair;
    "blanket", Table, textiles::blanket;
    "throw", Room, textiles::throw;
    "cushion", Table, |canvas| textiles::cushion(canvas, false);
    "floor-cushion", Room, |canvas| textiles::cushion(canvas, true);
    "rug", Room, |canvas| textiles::rug(canvas, false);
    "runner", Room, |canvas| textiles::rug(canvas, true);
    "towel", Table, |canvas| textiles::towel(canvas, false);
    "tea-towel", Table, |canvas| textiles::towel(canvas, true);
    "bedding", Room, textiles::bedding;
    "monstera", Table, plants::monstera;
    "fig", Room, plants::fig;
    "snake-plant", Table, plants::snake;
    "hanging", Table, plants::pearls;
    "olive", Room, plants::olive;
    "fern", Table, plants::fern;
    "pots", Table, |canvas| plants::pots(canvas, true);
    "planter", Table, |canvas| plants::pots(canvas, false);
    "vase", Table, plants::vase;
    "bud-vases", Table, plants::bud_vases;
    "watering", Table, plants::watering_can;
    "tent", Meadow, outdoor::tent;
    "enamel", Meadow, vessels::enamel;
    "flask", Meadow, vessels::flask;
    "fire", Meadow, outdoor::fire_bowl;
    "hammock", Meadow, outdoor::hammock;
    "rucksack", Meadow, outdoor::rucksack;
    "hamper", Meadow, outdoor::hamper;
    "tools", Meadow, outdoor::tools;
    "storm-lantern", Evening, lights::lantern;
}

/// The form a product's tags ask for; without such a tag, one that suits its category.
pub fn form_of(id: &str, tags: &[String], category: &str) -> Form {
    let asked = tags.iter().find_map(|tag| FORMS.iter().find(|form| form.tag == tag));
    let usual: &[&str] = match category {
        "lighting" => &["table-lamp", "pendant", "floor-lamp"],
        "furniture" => &["chair", "stool", "side-table"],
        "textiles" => &["cushion", "blanket", "rug"],
        "plants" => &["fern", "monstera", "planter"],
        "outdoor" => &["tent", "rucksack", "hamper"],
        _ => &["mug", "bowl", "jug"],
    };
    let tag = Choices::from_text(id).one_of(usual);
    *asked.or_else(|| FORMS.iter().find(|form| form.tag == tag)).unwrap_or(&FORMS[0])
}

/// Changes exactly when the picture may.
pub fn etag(id: &str, form: Form) -> String {
    format!("{:016x}", fingerprint(format!("{DRAWING}/{}/{id}", form.tag).as_bytes()))
}

/// The picture, as an SVG file.
pub fn draw(id: &str, form: Form, title: &str) -> String {
    let mut choices = Choices::from_text(id);
    let palette = if form.scene == Scene::Evening { choices.one_of(&DUSK) } else { choices.one_of(&DAY) };
    let prefix = format!("p{:x}-", fingerprint(id.as_bytes()) >> 40);
    let mut canvas = Canvas::new(palette, choices, prefix);
    scene::draw(&mut canvas, form.scene);
    (form.draw)(&mut canvas);
    canvas.finish(title)
}
