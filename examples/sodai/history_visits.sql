-- What is known of a customer each Monday and Wednesday at 0:00, from the first purchase on, and of the whole
-- market. Starts are numbered in half weeks, as in history_pairs.sql.
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
),
customer as (
    select
        customer_id,
        start_day,
        if(start % 2 = 0, 7, 5) as days_left,
        min(age) as days_since,
        max(age) as days_known,
        count(*) filter (age <= 7) as visits1,
        count(*) filter (age <= 28) as visits4,
        count(*) filter (age <= 91) as visits13,
        bit_count(coalesce(bit_or(1 << (lag - 1)) filter (lag <= 4), 0)) as same4,
        sum(cast(round(1000 * exp(-age / 10.0)) as bigint)) as fading10,
        sum(cast(round(1000 * exp(-age / 30.0)) as bigint)) as fading30,
        count(gap) filter (age <= 91) as gaps,
        sum(gap) filter (age <= 91) as gap_days,
        sum(gap * gap) filter (age <= 91) as gap_squares,
        coalesce(sum(products) filter (age <= 28), 0) as products4,
        coalesce(sum(products) filter (age <= 91), 0) as products13,
        coalesce(sum(fresh) filter (age <= 56), 0) as fresh8,
        -- What was bought on Monday and Tuesday already, when it is the rest of the week that is asked for.
        coalesce(sum(products) filter (start % 2 = 1 and age <= 2), 0) as products_this_week,
        avg(isodow(day)) filter (age <= 56) as weekday
    from aged
    group by customer_id, start, start_day
),
market as (
    select start_day, sum(visits1) as visits1, sum(visits4) as visits4, sum(visits13) as visits13
    from customer
    group by start_day
)
select
    c.* exclude (start_day),
    cast(c.start_day as timestamp) as known_at,
    4.0 * m.visits1 / nullif(m.visits4, 0) as market_week,
    13.0 * m.visits4 / (4 * nullif(m.visits13, 0)) as market_month
from customer c
join market m using (start_day)
