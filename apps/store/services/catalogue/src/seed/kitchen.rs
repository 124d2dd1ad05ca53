//! Kitchen and table.

use super::{Seed, seed};

/// The products of this category, in the shop's order.
pub const PRODUCTS: &[Seed] = &[
    seed(
        "tide-mug",
        "Tide Mug",
        "A stoneware mug that holds a generous morning.",
        "Thrown on the wheel and glazed in two dips, so that the line between the colours runs a little differently on every piece.\n\n\
         The handle takes three fingers, the foot is left unglazed. 350 ml. Safe in the dishwasher and the microwave.",
        &["mug", "stoneware", "coffee", "tea"],
        [1_800, 1_950, 1_600, 2_900],
    ),
    seed(
        "dune-espresso-cup",
        "Dune Espresso Cup",
        "A small cup with its saucer, for a short, serious coffee.",
        "Thick walls keep sixty millilitres hot while you read the first page. The saucer has a shallow well, so the cup does not wander.",
        &["cup", "stoneware", "coffee"],
        [1_450, 1_590, 1_290, 2_300],
    ),
    seed(
        "harbour-bowl",
        "Harbour Bowl",
        "The bowl for soup, porridge and everything in between.",
        "Deep enough for noodles, shallow enough for salad. The curve was drawn so that a spoon finds the last drop.\n\n\
         16 cm across, 700 ml. Stacks with its siblings.",
        &["bowl", "stoneware", "breakfast"],
        [1_900, 2_090, 1_690, 3_050],
    ),
    seed(
        "nest-serving-bowl",
        "Nest Serving Bowl",
        "A wide bowl that carries the whole salad to the table.",
        "Twenty-eight centimetres across, with a foot that lifts it off a hot table. As happy with oranges as with pasta for six.",
        &["serving-bowl", "bowl", "stoneware", "serving"],
        [4_600, 4_990, 3_990, 7_400],
    ),
    seed(
        "slate-dinner-plate",
        "Slate Dinner Plate",
        "A calm plate that lets dinner do the talking.",
        "A low rim, a matt glaze that knives do not mark, and a weight that feels settled. 27 cm. Sold by the piece.",
        &["plate", "stoneware", "serving"],
        [2_100, 2_290, 1_850, 3_400],
    ),
    seed(
        "ember-kettle",
        "Ember Kettle",
        "An enamelled kettle with a beech handle that stays cool.",
        "Steel, enamelled inside and out, for every stove including induction. It whistles on two notes, and stops when you lift the lid a finger's width.\n\n\
         1.8 litres.",
        &["kettle", "enamel", "tea", "coffee"],
        [6_400, 6_900, 5_500, 10_300],
    ),
    seed(
        "morrow-teapot",
        "Morrow Teapot",
        "A round pot for four cups and a long conversation.",
        "The spout pours without dripping; we tried forty shapes to be sure. With a steel basket for loose leaves that lifts out with the lid.",
        &["teapot", "stoneware", "tea"],
        [5_200, 5_600, 4_500, 8_400],
    ),
    seed(
        "cellar-storage-jar",
        "Cellar Storage Jar",
        "A jar with an oak lid that keeps coffee tasting of coffee.",
        "The lid closes on a ring of natural rubber, and the label takes pencil and lets go of it again. One litre.",
        &["jar", "stoneware", "storage", "coffee"],
        [2_800, 3_050, 2_450, 4_500],
    ),
    seed(
        "orchard-cutting-board",
        "Orchard Cutting Board",
        "Pear wood from old orchards, planed and oiled.",
        "Dense, fine-grained and kind to knives. Each board is cut from a single plank and keeps a hint of the tree's curve.\n\n\
         38 by 22 cm. Wash by hand, oil now and then.",
        &["board", "wood", "serving"],
        [3_900, 4_250, 3_400, 6_300],
    ),
    seed(
        "brook-water-jug",
        "Brook Water Jug",
        "A tall jug with a lip that pours straight.",
        "Holds 1.4 litres of water, or a bunch of tulips. The handle is pulled from the same clay and set low, so a full jug does not tip.",
        &["jug", "stoneware", "serving"],
        [4_200, 4_590, 3_650, 6_800],
    ),
    seed(
        "hearth-skillet",
        "Hearth Skillet",
        "Cast iron, seasoned, ready for a lifetime of breakfasts.",
        "Sanded smooth after casting and baked with three coats of oil. It gets better with every egg.\n\n26 cm, 2.1 kg, for every stove, the oven and the campfire.",
        &["pan", "iron", "breakfast", "fire"],
        [5_800, 6_200, 4_990, 9_300],
    ),
];
