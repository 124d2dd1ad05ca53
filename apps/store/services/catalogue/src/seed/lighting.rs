//! Lighting.

use super::{Seed, seed};

/// The products of this category, in the shop's order.
pub const PRODUCTS: &[Seed] = &[
    seed(
        "halo-table-lamp",
        "Halo Table Lamp",
        "A turned foot, a linen shade, a pool of warm light.",
        "The foot is ceramic, the shade is linen on a brass ring, and the cord is long enough to reach the socket you actually have.\n\n\
         46 cm tall. Takes an E27 bulb of up to 40 W.",
        &["table-lamp", "ceramic", "linen", "brass"],
        [8_900, 9_600, 7_600, 14_300],
    ),
    seed(
        "fathom-pendant",
        "Fathom Pendant",
        "A deep shade that lights the table and not the eyes.",
        "Spun from one sheet of aluminium and painted in two tones. Hang it sixty centimetres above the table and dinner takes care of itself. 42 cm across.",
        &["pendant", "metal", "brass"],
        [12_900, 13_900, 10_900, 20_700],
    ),
    seed(
        "heron-floor-lamp",
        "Heron Floor Lamp",
        "Leans over your shoulder and never comments on the book.",
        "A single arc of brass on a weighted foot. The shade turns and tilts, and a dimmer sits in the cord where your hand finds it. 158 cm.",
        &["floor-lamp", "reading", "brass"],
        [21_900, 23_500, 18_500, 35_200],
    ),
    seed(
        "moth-bedside-lamp",
        "Moth Bedside Lamp",
        "Small, quiet light for the last chapter.",
        "Touch the foot to switch it on, hold to dim. The lowest step is dark enough for a sleeping neighbour. 28 cm.",
        &["table-lamp", "reading", "linen"],
        [5_400, 5_800, 4_600, 8_700],
    ),
    seed(
        "paper-moon-shade",
        "Paper Moon Shade",
        "A globe of mulberry paper that makes a room softer.",
        "Folded flat it fits in a letterbox; opened, it is forty-five centimetres of moonlight. Bamboo ribs, mulberry paper, no glue.",
        &["paper-lamp", "paper", "bamboo"],
        [3_200, 3_490, 2_750, 5_150],
    ),
    seed(
        "dusk-lantern",
        "Dusk Lantern",
        "Four panes of glass around one candle.",
        "For the garden table, the stairs, the window. The roof lifts off to change the candle, and the handle folds down.",
        &["lantern", "candlelight", "metal", "garden"],
        [4_400, 4_790, 3_790, 7_100],
    ),
    seed(
        "tallow-candle-trio",
        "Tallow Candle Trio",
        "Three pillars of rapeseed wax in colours that belong together.",
        "Poured in layers, slow to burn, without perfume. Twelve, eighteen and twenty-two centimetres; about a hundred and forty hours in all.",
        &["candle", "candlelight", "gift"],
        [2_400, 2_600, 2_090, 3_850],
    ),
    seed(
        "arc-reading-lamp",
        "Arc Reading Lamp",
        "A floor lamp that bends to where the light is wanted.",
        "The neck holds every position between upright and bowing. Warm white, 2,700 kelvin, with no flicker to tire the eyes. 146 cm.",
        &["floor-lamp", "reading", "metal"],
        [16_900, 18_200, 14_400, 27_200],
    ),
    seed(
        "beacon-desk-lamp",
        "Beacon Desk Lamp",
        "Two joints, one switch, light exactly there.",
        "Springs inside the arms hold the head where you leave it. The shade is wide enough for a sheet of drawing paper.",
        &["desk-lamp", "reading", "brass", "metal"],
        [9_800, 10_600, 8_400, 15_800],
    ),
];
