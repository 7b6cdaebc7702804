-- What is known of a customer and a product each Monday and Wednesday at 0:00: one row per pair and start, from
-- the first purchase until half a year of silence. The last of these rows says just that, and stays true.
--
-- Starts are numbered in half weeks: 2n is Monday n after 1970-01-05, 2n + 1 the Wednesday of that week. Sums are of
-- whole numbers, so that they are the same in whatever order rows are added.
with days as (
    -- Corrections are rows with negative items beside the sale; a pair that was only taken back was not bought.
    select customer_id, product_id, purchase_date as day, cast(sum(cast(round(1000 * items) as bigint)) as bigint) as items
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
),
summed as (
    -- `weeks` and `lags` are sets of small numbers, one bit each; what fades is in thousandths of a purchase.
    select
        customer_id,
        product_id,
        start_day,
        min(age) as days_since,
        max(times) as times,
        bit_or(if(week < 4, 1 << week, 0)) as weeks,
        bit_or(if(lag <= 26 and age <= 182, 1 << (lag - 1), 0)) as lags,
        count(*) filter (age <= 28) as days4,
        count(*) filter (age <= 182) as days26,
        cast(sum(if(age <= 182, cast(round(1000 * exp(-age / 10.0)) as bigint), 0)) as bigint) as fading10,
        cast(sum(if(age <= 182, cast(round(1000 * exp(-age / 30.0)) as bigint), 0)) as bigint) as fading30,
        cast(sum(if(age <= 182, cast(round(1000 * exp(-age / 90.0)) as bigint), 0)) as bigint) as fading90,
        count(gap) filter (age <= 182) as gaps,
        cast(sum(gap) filter (age <= 182) as bigint) as gap_days,
        cast(sum(gap * gap) filter (age <= 182) as bigint) as gap_squares,
        arg_max(items, day) filter (age <= 182) as newest_items,
        cast(sum(items) filter (age <= 182) as bigint) as items
    from aged
    group by customer_id, product_id, start_day
)
select
    * exclude (start_day, weeks, lags, days_since),
    cast(start_day as timestamp) as known_at,
    least(days_since, 183) as days_since,
    bit_count(weeks) as weeks4,
    bit_count(lags & 15) as same4,
    bit_count(lags & 255) as same8,
    bit_count(lags & 8191) as same13,
    bit_count(lags) as same26
from summed
