-- Each product's tags, one a row, so that products that share one are found by it. A trigger keeps them: an earlier
-- revision, which knows only the column, may be running beside this one.
CREATE TABLE product_tags (
    tag TEXT NOT NULL,
    -- The product's own, so that the first of many are found in order.
    position BIGINT NOT NULL,
    product_id TEXT NOT NULL REFERENCES products (product_id),
    PRIMARY KEY (tag, position, product_id)
);

CREATE INDEX product_tags_by_product ON product_tags (product_id, tag);

-- To refer to it has locked the products, so that none comes between filling this table and keeping it.
INSERT INTO product_tags (tag, position, product_id)
SELECT DISTINCT t.value, p.position, p.product_id
FROM products p, json_array_elements_text(CAST(p.tags AS JSON)) t (value);

-- What is in it decides how it is asked.
ANALYZE product_tags;

CREATE FUNCTION tag_product() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM product_tags WHERE product_id = NEW.product_id;
    INSERT INTO product_tags (tag, position, product_id)
    SELECT DISTINCT t.value, NEW.position, NEW.product_id
    FROM json_array_elements_text(CAST(NEW.tags AS JSON)) t (value);
    RETURN NULL;
END
$$;

CREATE TRIGGER products_are_tagged AFTER INSERT OR UPDATE OF tags, position ON products
FOR EACH ROW EXECUTE FUNCTION tag_product();
