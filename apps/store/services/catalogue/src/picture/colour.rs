//! Colours, the shop's palettes, and the seeded choices that make each picture its own. Never random: one seed, one picture.

/// A colour in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

/// White.
pub const WHITE: Colour = Colour(255, 255, 255);
/// What shadows are made of: a blue black, which looks softer than black.
pub const SHADE: Colour = Colour(27, 26, 38);

impl Colour {
    /// From `0xRRGGBB`.
    pub const fn hex(value: u32) -> Colour {
        let bytes = value.to_be_bytes();
        Colour(bytes[1], bytes[2], bytes[3])
    }

    /// This colour with a share of another, 0 to 1.
    pub fn mix(self, other: Colour, share: f32) -> Colour {
        let channel = |from: u8, to: u8| {
            let mixed = f32::from(from) + (f32::from(to) - f32::from(from)) * share.clamp(0.0, 1.0);
            mixed.round() as u8
        };
        Colour(channel(self.0, other.0), channel(self.1, other.1), channel(self.2, other.2))
    }

    /// Nearer to white by a share, 0 to 1.
    pub fn lighter(self, share: f32) -> Colour {
        self.mix(WHITE, share)
    }

    /// Nearer to shadow by a share, 0 to 1.
    pub fn darker(self, share: f32) -> Colour {
        self.mix(SHADE, share)
    }

    /// As CSS writes it.
    pub fn css(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// The colours of one picture; they were chosen together.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    /// The wall or sky, at its top.
    pub sky: Colour,
    /// The wall or sky, at its bottom.
    pub haze: Colour,
    /// What the product stands on.
    pub ground: Colour,
    /// The soft disc behind the product.
    pub sun: Colour,
    /// The product.
    pub main: Colour,
    /// Its pattern, its trim.
    pub second: Colour,
    /// Metal, cord, deep lines.
    pub dark: Colour,
}

const fn palette(sky: u32, haze: u32, ground: u32, sun: u32, main: u32, second: u32, dark: u32) -> Palette {
    Palette {
        sky: Colour::hex(sky),
        haze: Colour::hex(haze),
        ground: Colour::hex(ground),
        sun: Colour::hex(sun),
        main: Colour::hex(main),
        second: Colour::hex(second),
        dark: Colour::hex(dark),
    }
}

/// For rooms by day and for the open air.
pub const DAY: [Palette; 11] = [
    palette(0xf5ecdf, 0xecdac3, 0xdcc1a0, 0xf6d9b4, 0xc3573c, 0xf4d8ae, 0x3d2c29),
    palette(0xf0f3e8, 0xdfe7d3, 0xc4d1b1, 0xf8efcf, 0x5f8768, 0xefe6d2, 0x2d3b32),
    palette(0xeaf2f6, 0xd5e4ec, 0xb8cfdb, 0xfcecd0, 0x3c6a8b, 0xf3e6d6, 0x1e3242),
    palette(0xf9edea, 0xf2d9d3, 0xe3bbb1, 0xfff5e8, 0xb35f68, 0xf8e0cf, 0x472a2f),
    palette(0xfbf3e0, 0xf3e4bf, 0xe2c88d, 0xfffaec, 0xd0922a, 0xf7ead0, 0x403420),
    palette(0xf0edf5, 0xe0d8ec, 0xc7bddb, 0xfbefdc, 0x6a5c90, 0xf1e4cd, 0x2d2741),
    palette(0xe6f3f1, 0xcfe7e3, 0xabd0ca, 0xfbf1da, 0x2d7b75, 0xf5e8ce, 0x163a37),
    palette(0xf1efec, 0xe2ded8, 0xcbc5bc, 0xfaf1e2, 0x56524d, 0xe0a868, 0x2a2826),
    palette(0xfdf0e9, 0xfadccd, 0xf1bfa6, 0xfff6e9, 0xdd6c54, 0xfff0dc, 0x492b24),
    palette(0xeff1f5, 0xdce1ea, 0xc0c8d6, 0xfdeedd, 0x2e4057, 0xe8b89a, 0x1d2836),
    palette(0xf6f1ea, 0xebe0d2, 0xd8c6b0, 0xf5e3c8, 0xeee2cf, 0xb87b52, 0x4a3a2e),
];

/// For lights: the hour at which one wants them.
pub const DUSK: [Palette; 5] = [
    palette(0x26364a, 0x4a5a70, 0x2a3547, 0xf3b562, 0xe9dcc6, 0xd08b4a, 0x141c28),
    palette(0x3a2f4a, 0x6d5570, 0x382c42, 0xf7b787, 0xe6cfc0, 0xb8636a, 0x1c1626),
    palette(0x1f3d3d, 0x3f6663, 0x1f3a39, 0xf6cf83, 0xefe3cb, 0xc98f4e, 0x0f2222),
    palette(0x4a3430, 0x8a5f4e, 0x44302b, 0xffc98a, 0xf2dfc8, 0x9c4a34, 0x231614),
    palette(0x2c3550, 0x5b648a, 0x2b3350, 0xffd79a, 0xdfe3ea, 0xe08a5a, 0x141a2e),
];

/// Seeded choices (SplitMix64).
#[derive(Clone, Debug)]
pub struct Choices(u64);

impl Choices {
    /// From any text; the same text, the same choices.
    pub fn from_text(text: &str) -> Choices {
        Choices(fingerprint(text.as_bytes()))
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` up to `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        let unit = (self.next() >> 40) as f32 / (1_u64 << 24) as f32;
        low + (high - low) * unit
    }

    /// One of some; they must not be empty.
    pub fn one_of<T: Copy>(&mut self, among: &[T]) -> T {
        let index = self.next() % among.len().max(1) as u64;
        among[index as usize]
    }
}

/// FNV-1a: short, stable for ever, and good enough to tell pictures apart.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
