//! Plants and pots.

use super::{Seed, seed};

/// The products of this category, in the shop's order.
pub const PRODUCTS: &[Seed] = &[
    seed(
        "young-monstera",
        "Young Monstera",
        "Big leaves, small wishes.",
        "Likes a bright room without noon sun, and water when the top of the soil is dry. It will ask for a larger pot in two years and a larger room in five.\n\n\
         About 60 cm with its pot.",
        &["monstera", "foliage", "bright"],
        [4_200, 4_550, 3_600, 6_800],
    ),
    seed(
        "rubber-fig",
        "Rubber Fig",
        "An upright companion with leaves like polished leather.",
        "Patient with beginners and grateful for a damp cloth now and then. Grows a leaf a month from spring to autumn. About 80 cm.",
        &["fig", "foliage", "bright"],
        [4_800, 5_200, 4_100, 7_700],
    ),
    seed(
        "snake-plant",
        "Snake Plant",
        "Survives holidays, dark corners and forgetful people.",
        "Water it every three weeks. If you forget, it will not mention it. About 55 cm.",
        &["snake-plant", "foliage", "easy"],
        [2_900, 3_100, 2_450, 4_700],
    ),
    seed(
        "string-of-pearls",
        "String of Pearls",
        "A curtain of green beads for a high shelf.",
        "Wants light, little water, and to be left to hang. Comes with its pot and the cords to hang it by.",
        &["hanging", "succulent", "bright"],
        [2_700, 2_950, 2_300, 4_300],
    ),
    seed(
        "little-olive-tree",
        "Little Olive Tree",
        "A breath of the south for a sunny balcony.",
        "Trained as a small standard with a round head. Hardy to minus five degrees, and in a good year it bears a handful of olives. About 90 cm.",
        &["olive", "tree", "bright", "garden"],
        [6_400, 6_900, 5_450, 10_300],
    ),
    seed(
        "fern-of-the-north",
        "Fern of the North",
        "A soft green fountain for the bathroom shelf.",
        "Loves the steam of a shower and a window that looks north. Keep the soil a little damp. About 40 cm.",
        &["fern", "foliage", "bath", "easy"],
        [2_300, 2_500, 1_950, 3_700],
    ),
    seed(
        "terracotta-pot",
        "Terracotta Pot",
        "The pot that plants would choose themselves.",
        "Fired hot enough for frost, open enough to breathe. With a saucer. 17 cm across; they stack.",
        &["pots", "terracotta", "garden"],
        [1_200, 1_300, 1_050, 1_950],
    ),
    seed(
        "glazed-planter",
        "Glazed Planter",
        "A wide planter for herbs by the kitchen window.",
        "Stoneware with a glaze that wipes clean, a hole below and a cork to close it. 28 cm across.",
        &["planter", "stoneware", "garden"],
        [4_900, 5_300, 4_190, 7_900],
    ),
    seed(
        "reed-vase",
        "Reed Vase",
        "A narrow neck that makes three stems look like a bouquet.",
        "Thrown in two parts and joined at the shoulder. 29 cm tall. The reeds are yours to gather.",
        &["vase", "stoneware", "gift"],
        [5_600, 6_050, 4_790, 9_000],
    ),
    seed(
        "bud-vase-trio",
        "Bud Vase Trio",
        "Three small vases for what the garden has today.",
        "Each a different height, made to stand together. One flower each is enough.",
        &["bud-vases", "vase", "stoneware", "gift"],
        [3_600, 3_900, 3_050, 5_800],
    ),
    seed(
        "long-neck-watering-can",
        "Long-neck Watering Can",
        "Reaches the back row without wetting the front.",
        "Powder-coated steel, balanced so that it pours when you tilt and stops when you stop. 1.5 litres.",
        &["watering", "metal", "garden"],
        [3_850, 4_150, 3_290, 6_200],
    ),
];
