-- What is known of a customer each Monday and Wednesday at 0:00, from the first purchase on: one row
-- per customer and start. Starts are numbered in half weeks, as in history_pairs.sql.
with bought as (
    select customer_id, product_id, purchase_date as day,
        purchase_date = min(purchase_date) over (partition by customer_id, product_id) as fresh
    from (select distinct customer_id, product_id, purchase_date from purchases where items > 0)
),
visits as (
    select customer_id, day, count(*) as products, count(*) filter (fresh) as fresh
    from bought
    group by all
),
counted as (
    select *,
        day - lag(day) over customer as gap,
        2 * ((day - date '1970-01-05') // 7) + if(isodow(day) < 3, 1, 2) as first_start
    from visits
    window customer as (partition by customer_id order by day)
),
newest as (
    select max(first_start) as start from counted
),
placed as (
    select c.*, s.start,
        date '1970-01-05' + cast(7 * (s.start // 2) + 2 * (s.start % 2) as integer) as start_day
    from counted c, newest n, unnest(range(c.first_start, n.start + 1)) as s(start)
),
aged as (
    select *,
        start_day - day as age,
        if(start % 2 = 0 or isodow(day) >= 3, (start_day - day + 6) // 7, null) as lag
    from placed
)
select
    customer_id,
    cast(start_day as timestamp) as known_at,
    if(start % 2 = 0, 7, 5) as days_left,
    min(age) as days_since,
    count(*) filter (age <= 28) as visits4,
    count(*) filter (age <= 91) as visits13,
    bit_count(bit_or(if(lag <= 4, 1 << (lag - 1), 0))) as same4,
    cast(sum(cast(round(1000 * exp(-age / 10.0)) as bigint)) as bigint) as fading10,
    cast(sum(cast(round(1000 * exp(-age / 30.0)) as bigint)) as bigint) as fading30,
    count(gap) filter (age <= 91) as gaps,
    cast(sum(gap) filter (age <= 91) as bigint) as gap_days,
    cast(sum(gap * gap) filter (age <= 91) as bigint) as gap_squares,
    cast(coalesce(sum(products) filter (age <= 28), 0) as bigint) as products4,
    cast(coalesce(sum(products) filter (age <= 91), 0) as bigint) as products13,
    cast(coalesce(sum(fresh) filter (age <= 56), 0) as bigint) as fresh8,
    -- What was bought on Monday and Tuesday already, when it is the rest of the week that is asked for.
    cast(coalesce(sum(products) filter (start % 2 = 1 and age <= 2), 0) as bigint) as products_this_week,
    avg(isodow(day)) filter (age <= 56) as weekday
from aged
group by customer_id, start, start_day
