//! Out of doors.

use super::{Seed, seed};

/// The products of this category, in the shop's order.
pub const PRODUCTS: &[Seed] = &[
    seed(
        "ridge-tent-for-two",
        "Ridge Tent for Two",
        "A classic shape in a cloth that laughs at rain.",
        "Two poles, eight pegs, six minutes. Cotton blend breathes at night, so that you wake up dry.\n\n210 by 130 cm inside. 4.8 kg.",
        &["tent", "canvas", "camping"],
        [34_900, 37_700, 29_800, 56_200],
    ),
    seed(
        "enamel-camp-mug",
        "Enamel Camp Mug",
        "Falls on rocks, goes on the fire, shrugs.",
        "Steel with two coats of enamel and a dark rim. Hang it from your pack and it will ring you down the trail. 400 ml.",
        &["enamel", "mug", "camping", "coffee"],
        [1_400, 1_500, 1_200, 2_250],
    ),
    seed(
        "trail-flask",
        "Trail Flask",
        "Tea that is still hot at the summit.",
        "Double-walled steel with a lid that a gloved hand can open. Keeps hot for eighteen hours and cold for a day. 750 ml.",
        &["flask", "metal", "camping", "tea"],
        [3_600, 3_900, 3_090, 5_800],
    ),
    seed(
        "kindling-fire-bowl",
        "Kindling Fire Bowl",
        "Gathers people in the garden long after sunset.",
        "Raw steel that will rust to a warm brown and last for decades. On three legs, with a hole for the rain. 60 cm across.",
        &["fire", "iron", "garden", "camping"],
        [15_900, 17_100, 13_500, 25_600],
    ),
    seed(
        "drift-hammock",
        "Drift Hammock",
        "Two trees and the rest of the afternoon.",
        "Woven wide enough to lie across, which is how it is done. Cotton, with cords of hemp. Carries 160 kg.",
        &["hammock", "cotton", "garden"],
        [8_400, 9_100, 7_150, 13_500],
    ),
    seed(
        "day-rucksack",
        "Day Rucksack",
        "Twenty litres, two straps, no fuss.",
        "Waxed canvas and vegetable-tanned leather. A pocket for the map, a sleeve for the flask, and a back that lets air through.",
        &["rucksack", "canvas", "camping"],
        [12_800, 13_800, 10_900, 20_600],
    ),
    seed(
        "picnic-hamper",
        "Picnic Hamper",
        "Everything for four, packed by someone who thinks of corkscrews.",
        "Woven willow with a cotton lining. Plates, cups, cutlery, a board, a cloth, and straps that hold it all in place.\n\nWoven to order: there are never many.",
        &["hamper", "willow", "garden", "gift"],
        [18_900, 20_400, 16_100, 30_400],
    ),
    seed(
        "garden-trowel-set",
        "Garden Trowel Set",
        "Trowel, fork and weeder, forged to outlive the gardener.",
        "Carbon steel with ash handles and a loop of leather to hang them by. The weeder has a scale in centimetres for sowing.",
        &["tools", "garden", "metal", "gift"],
        [5_400, 5_850, 4_600, 8_700],
    ),
    seed(
        "storm-lantern",
        "Storm Lantern",
        "Burns on through wind that closes umbrellas.",
        "A lamp of the old kind, with a glass that lifts on a lever. Twenty hours on one filling; a flat wick is included.",
        &["storm-lantern", "candlelight", "camping", "metal"],
        [4_600, 4_990, 3_900, 7_400],
    ),
    seed(
        "folding-camp-chair",
        "Folding Camp Chair",
        "A proper chair, under the arm.",
        "Beech and canvas, without one plastic part. Opens in a movement and carries 120 kg. 3.1 kg.",
        &["camp-chair", "canvas", "camping", "seating"],
        [9_200, 9_900, 7_850, 14_800],
    ),
];
