//! Textiles.

use super::{Seed, seed};

/// The products of this category, in the shop's order.
pub const PRODUCTS: &[Seed] = &[
    seed(
        "moor-wool-blanket",
        "Moor Wool Blanket",
        "Lambswool, woven thick, for the cold half of the year.",
        "Carded, spun and woven within forty kilometres. It warms at once and airs itself overnight.\n\n140 by 200 cm. Wash rarely, air often.",
        &["blanket", "wool", "bedroom"],
        [11_800, 12_700, 10_000, 18_900],
    ),
    seed(
        "loch-throw",
        "Loch Throw",
        "A light throw for cool evenings and warm feet.",
        "Merino and a little silk, with a fringe knotted by hand. It disappears over the arm of a sofa until it is needed. 130 by 180 cm.",
        &["throw", "wool", "bedroom"],
        [8_600, 9_300, 7_300, 13_800],
    ),
    seed(
        "field-linen-cushion",
        "Field Linen Cushion",
        "Washed linen, a hidden zip, a proper feather filling.",
        "Woven from European flax and washed until it is soft. The pattern is printed with pigments that fade slowly and kindly. 50 by 50 cm.",
        &["cushion", "linen", "sofa"],
        [3_800, 4_100, 3_250, 6_100],
    ),
    seed(
        "terrace-stripe-cushion",
        "Terrace Stripe Cushion",
        "Stripes for the garden bench that do not mind a shower.",
        "Spun from recycled yarn, dyed before weaving, so that the sun has to try hard. Dries within the hour. 45 by 45 cm.",
        &["cushion", "garden", "sofa"],
        [3_400, 3_690, 2_900, 5_450],
    ),
    seed(
        "seagrass-rug",
        "Seagrass Rug",
        "Underfoot like a path to the beach.",
        "Flat-woven, hard-wearing, and edged with cotton. Lies still on wood and stone. 160 by 230 cm.",
        &["rug", "natural", "floor"],
        [17_900, 19_300, 15_200, 28_800],
    ),
    seed(
        "kelim-runner",
        "Kelim Runner",
        "A long, bright rug for a narrow place.",
        "Woven by hand from wool that was dyed with plants: madder, weld, walnut. No two are alike, and ours will not be either. 70 by 240 cm.",
        &["runner", "rug", "wool", "floor", "hall"],
        [23_900, 25_800, 20_300, 38_400],
    ),
    seed(
        "soft-bath-towel",
        "Soft Bath Towel",
        "Heavy cotton loops that drink up the sea.",
        "Six hundred grams to the square metre, spun without a twist, so it is soft from the first wash. 70 by 140 cm.",
        &["towel", "cotton", "bath"],
        [2_900, 3_150, 2_490, 4_650],
    ),
    seed(
        "linen-tea-towels",
        "Linen Tea Towels",
        "Three towels that polish a glass in one turn.",
        "Half-linen, woven tight, with a loop at the corner. They get better for years. Set of three, 50 by 70 cm.",
        &["tea-towel", "linen", "gift"],
        [2_600, 2_800, 2_200, 4_200],
    ),
    seed(
        "eider-duvet-cover",
        "Eider Duvet Cover",
        "Crisp percale under a print of small leaves.",
        "Long cotton fibres, two hundred threads, no finish to wash out. Closes with buttons of shell. 155 by 220 cm, with one pillowcase.",
        &["bedding", "cotton", "bedroom"],
        [9_400, 10_100, 8_000, 15_100],
    ),
    seed(
        "meadow-floor-cushion",
        "Meadow Floor Cushion",
        "A seat for guests who arrive by the dozen.",
        "Filled with buckwheat husks that settle around you. The cover is heavy cotton with one fabric button. 60 cm across, 22 cm high.",
        &["floor-cushion", "cotton", "seating", "floor"],
        [6_800, 7_350, 5_800, 10_900],
    ),
];
