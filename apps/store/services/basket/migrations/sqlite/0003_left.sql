-- The version of the origin's basket at which a part had left it: a purchase of that basket bought the part if it was at
-- `origin_version` or later and below this. NULL for a part that never left, and for one that an earlier release merged.
ALTER TABLE parts ADD COLUMN left_version INTEGER;
