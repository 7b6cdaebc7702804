-- What is known of a customer and a product each Monday and Wednesday at 0:00: one row per pair and start, from
-- the first purchase until half a year of silence. The last of these rows says just that, and stays true.
--
-- Starts are numbered in half weeks: 2n is Monday n after 1970-01-05, 2n + 1 the Wednesday of that week. Sums are of
-- whole numbers, so that they are the same in whatever order rows are added.
with days as (
    -- Corrections are rows with negative items beside the sale; a pair that was only taken back was not bought.
    select customer_id, product_id, purchase_date as day, sum(cast(round(1000 * items) as bigint)) as items
    from purchases
    where items > 0
    group by all
),
counted as (
    select *,
        day - lag(day) over pair as gap,
        row_number() over pair as times,
        2 * ((day - date '1970-01-05') // 7) + if(isodow(day) < 3, 1, 2) as first_start
    from days
    window pair as (partition by customer_id, product_id order by day)
),
newest as (
    select max(first_start) as start from counted
),
placed as (
    select c.*, s.start,
        date '1970-01-05' + cast(7 * (s.start // 2) + 2 * (s.start % 2) as integer) as start_day
    from counted c, newest n, unnest(range(c.first_start, least(c.first_start + 53, n.start + 1))) as s(start)
),
aged as (
    select *,
        start_day - day as age,
        -- How many weeks ago: 0 for the week of the day before the start, be it complete or not.
        (start_day - 1 - date '1970-01-05') // 7 - (day - date '1970-01-05') // 7 as week,
        -- The same days of earlier weeks, from Monday or from Wednesday to Sunday: 1 for last week's.
        if(start % 2 = 0 or isodow(day) >= 3, (start_day - day + 6) // 7, null) as lag
    from placed
)
select
    customer_id,
    product_id,
    cast(start_day as timestamp) as known_at,
    least(min(age), 183) as days_since,
    max(times) as times,
    count(distinct week) filter (week < 4) as weeks4,
    count(*) filter (age <= 28) as days4,
    bit_count(coalesce(bit_or(1 << (lag - 1)) filter (lag <= 4), 0)) as same4,
    bit_count(coalesce(bit_or(1 << (lag - 1)) filter (lag <= 8), 0)) as same8,
    bit_count(coalesce(bit_or(1 << (lag - 1)) filter (lag <= 13), 0)) as same13,
    bit_count(coalesce(bit_or(1 << (lag - 1)) filter (lag <= 26 and age <= 182), 0)) as same26,
    -- Purchases in thousandths that fade with their age.
    coalesce(sum(cast(round(1000 * exp(-age / 10.0)) as bigint)) filter (age <= 182), 0) as fading10,
    coalesce(sum(cast(round(1000 * exp(-age / 30.0)) as bigint)) filter (age <= 182), 0) as fading30,
    coalesce(sum(cast(round(1000 * exp(-age / 90.0)) as bigint)) filter (age <= 182), 0) as fading90,
    count(gap) filter (age <= 182) as gaps,
    sum(gap) filter (age <= 182) as gap_days,
    sum(gap * gap) filter (age <= 182) as gap_squares,
    arg_max(items, day) filter (age <= 182) as newest_items,
    sum(items) filter (age <= 182) as items,
    count(*) filter (age <= 182) as days26
from aged
group by customer_id, product_id, start_day
