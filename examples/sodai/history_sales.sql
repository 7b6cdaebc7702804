-- What is known of a product each Monday and Wednesday at 0:00: one row per product and start, from its first sale
-- until eight weeks of silence, which the last row states. Starts are numbered in half weeks, as in
-- history_pairs.sql.
with bought as (
    select customer_id, product_id, purchase_date as day,
        purchase_date = min(purchase_date) over (partition by customer_id, product_id) as fresh,
        2 * ((purchase_date - date '1970-01-05') // 7) + if(isodow(purchase_date) < 3, 1, 2) as first_start
    from (select distinct customer_id, product_id, purchase_date from purchases where items > 0)
),
newest as (
    select max(first_start) as start from bought
),
placed as (
    select b.*,
        date '1970-01-05' + cast(7 * (s.start // 2) + 2 * (s.start % 2) as integer) as start_day
    from bought b, newest n, unnest(range(b.first_start, least(b.first_start + 17, n.start + 1))) as s(start)
),
aged as (
    select *, start_day - day as age from placed
)
select
    product_id,
    cast(start_day as timestamp) as known_at,
    count(*) filter (age <= 7) as sales1,
    count(*) filter (age <= 28) as sales4,
    count(*) filter (age <= 56) as sales8,
    count(distinct customer_id) filter (age <= 28) as customers4,
    count(*) filter (age <= 28 and fresh) as fresh4,
    -- The last three days, and the same three of five weeks.
    count(*) filter (age <= 3) as sales_now,
    count(*) filter (age <= 35 and (age - 1) % 7 < 3) as sales_usual
from aged
group by product_id, start_day
