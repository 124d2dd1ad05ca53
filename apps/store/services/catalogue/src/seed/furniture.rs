//! Furniture.

use super::{Seed, seed};

/// The products of this category, in the shop's order.
pub const PRODUCTS: &[Seed] = &[
    seed(
        "alder-dining-chair",
        "Alder Dining Chair",
        "A chair for long dinners, light enough to carry in one hand.",
        "Solid alder, steamed and bent, with a seat that tips back by two degrees. That is the difference between a meal and an evening.\n\n\
         Seat height 45 cm. 4.2 kg.",
        &["chair", "wood", "seating"],
        [18_900, 20_400, 16_100, 30_400],
    ),
    seed(
        "wren-armchair",
        "Wren Armchair",
        "Deep, round and hard to leave.",
        "A beech frame, webbing under wool, and a back high enough to sleep against. The cover comes off and can be washed.\n\nMade to order in small batches.",
        &["armchair", "wool", "seating"],
        [74_900, 80_900, 63_900, 120_500],
    ),
    seed(
        "perch-stool",
        "Perch Stool",
        "A seat, a step, a bedside table.",
        "Three legs never wobble. The seat is turned from one piece and hollowed by a finger's breadth. 46 cm high.",
        &["stool", "wood", "seating"],
        [7_900, 8_500, 6_700, 12_700],
    ),
    seed(
        "longshore-bench",
        "Longshore Bench",
        "A bench for the hall, the table or the foot of the bed.",
        "One plank of oak, 140 centimetres long, on four splayed legs. Seats three friends or two who need more room.",
        &["bench", "wood", "seating", "hall"],
        [31_900, 34_500, 27_200, 51_300],
    ),
    seed(
        "plain-dining-table",
        "Plain Dining Table",
        "An honest table, and the longest-lived thing in the house.",
        "Oak, oiled, with corners rounded by hand. The frame sits far enough in that knees never meet it.\n\n180 by 90 cm, for six to eight.",
        &["table", "wood", "dining"],
        [89_900, 97_000, 76_500, 144_600],
    ),
    seed(
        "pebble-side-table",
        "Pebble Side Table",
        "A low round table for a cup and the book it belongs to.",
        "The top is lacquered in seven coats and polished like a stone from the beach. 44 cm across, 48 cm high.",
        &["side-table", "wood", "lacquer"],
        [14_900, 16_100, 12_700, 23_900],
    ),
    seed(
        "ladder-shelf",
        "Ladder Shelf",
        "Leans on the wall and carries more than it shows.",
        "Three shelves of ash between two rails. It stands by its own weight; a single screw makes it stay for good. 182 cm tall.",
        &["ladder", "wood", "storage"],
        [22_900, 24_700, 19_500, 36_800],
    ),
    seed(
        "linden-wall-shelf",
        "Linden Wall Shelf",
        "Two boards for the things you like to look at.",
        "Linden wood on folded steel. Each board carries twelve kilograms, and a groove at the back keeps plates upright.",
        &["wall-shelf", "wood", "storage"],
        [7_200, 7_800, 6_150, 11_600],
    ),
    seed(
        "still-round-mirror",
        "Still Round Mirror",
        "A calm circle that borrows light from the window.",
        "Five millimetres of clear glass in a frame of turned wood. Comes with the one screw it needs. 64 cm across.",
        &["mirror", "glass", "hall"],
        [12_400, 13_400, 10_500, 19_900],
    ),
];
