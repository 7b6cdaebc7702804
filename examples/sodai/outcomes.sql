-- What came true: the pairs bought from each Monday, and from each Wednesday, to the Sunday after it, once that
-- week is over.
with newest as (
    select max(date_trunc('week', purchase_date) + to_days(if(isodow(purchase_date) < 3, 2, 7))) as start
    from purchases
    where items > 0
),
bought as (
    select distinct customer_id, product_id, date_trunc('week', purchase_date) as monday, isodow(purchase_date) as weekday
    from purchases
    where items > 0
)
select distinct
    b.customer_id,
    b.product_id,
    cast(b.monday + to_days(s.after) as timestamp) as start
from bought b, newest n, (values (0), (2)) as s(after)
where b.weekday > s.after and b.monday + to_days(7) <= n.start
