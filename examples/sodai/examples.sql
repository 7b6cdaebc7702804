-- What is learned from: the newest nine complete weeks, each asked for twice: on Monday for the whole of it, and
-- on Wednesday for the rest. Starts are numbered in half weeks, as in history_pairs.sql.
--
-- Taken are all pairs bought in the four weeks before the start, a quarter of those bought earlier, a fiftieth of
-- the others whose product sold in the last eight weeks, one in two hundred of the rest. None of this looks at the outcome,
-- and all of it shows in the features, so the probabilities stay those of the whole grid.
with bought as (
    select distinct customer_id, product_id, purchase_date as day,
        2 * ((purchase_date - date '1970-01-05') // 7) + if(isodow(purchase_date) < 3, 1, 2) as first_start
    from purchases
    where items > 0
),
newest as (
    select max(first_start) as start from bought
),
starts as (
    select s.start,
        date '1970-01-05' + cast(7 * (s.start // 2) + 2 * (s.start % 2) as integer) as day,
        date '1970-01-05' + cast(7 * (s.start // 2) + 7 as integer) as next_monday
    from newest n, unnest(range(2 * (n.start // 2 - 9), 2 * (n.start // 2))) as s(start)
),
known as (
    select b.customer_id, b.product_id, s.start, s.day - max(b.day) as age
    from bought b join starts s on b.first_start <= s.start
    group by b.customer_id, b.product_id, s.start, s.day
),
selling as (
    select distinct b.product_id, s.start
    from bought b join starts s on b.first_start <= s.start and s.day - b.day <= 56
),
grid as (
    select c.customer_id, p.product_id, s.start,
        hash(c.customer_id, p.product_id, s.start) % 1000 as draw
    from customers c, products p, starts s
),
others as (
    select g.customer_id, g.product_id, g.start
    from (select * from grid where draw < 20) g
    left join selling l using (product_id, start)
    anti join known k using (customer_id, product_id, start)
    where l.product_id is not null or draw < 5
),
taken as (
    select customer_id, product_id, start from known
    where age <= 28 or hash(customer_id, product_id, start) % 4 = 0
    union all
    select customer_id, product_id, start from others
),
outcome as (
    select distinct b.customer_id, b.product_id, s.start
    from bought b join starts s on b.day >= s.day and b.day < s.next_monday
)
select
    t.customer_id,
    t.product_id,
    cast(s.day as timestamp) as start,
    cast(s.next_monday as timestamp) as known_at,
    o.customer_id is not null as bought
from taken t
join starts s using (start)
left join outcome o using (customer_id, product_id, start)
