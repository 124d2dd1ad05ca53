-- Each product's tags, one a row, so that products that share one are found by it. Triggers keep them: an earlier revision,
-- which knows only the column, may be running beside this one.
CREATE TABLE product_tags (
    tag TEXT NOT NULL,
    -- The product's own, so that the first of many are found in order.
    position INTEGER NOT NULL,
    product_id TEXT NOT NULL REFERENCES products (product_id),
    PRIMARY KEY (tag, position, product_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX product_tags_by_product ON product_tags (product_id, tag);

INSERT INTO product_tags (tag, position, product_id)
SELECT DISTINCT t.value, p.position, p.product_id FROM products p, json_each(p.tags) t;

CREATE TRIGGER products_are_tagged AFTER INSERT ON products BEGIN
    INSERT INTO product_tags (tag, position, product_id)
    SELECT DISTINCT value, NEW.position, NEW.product_id FROM json_each(NEW.tags);
END;

CREATE TRIGGER products_are_tagged_anew AFTER UPDATE OF tags, position ON products BEGIN
    DELETE FROM product_tags WHERE product_id = NEW.product_id;
    INSERT INTO product_tags (tag, position, product_id)
    SELECT DISTINCT value, NEW.position, NEW.product_id FROM json_each(NEW.tags);
END;
