-- One row in, one row out. The request is a customer and a product; all else is what was known at the start of
-- the (rest of the) week that is asked for. Without a row in `pairs` the customer never bought the product.
select
    -- the pair: how often, how lately, how regularly
    p.weeks4 as pair_weeks4,
    p.days_since as pair_days_since,
    p.times as pair_times,
    p.days4 as pair_days4,
    p.same4 as pair_same4,
    p.same8 as pair_same8,
    p.same13 as pair_same13,
    p.same26 as pair_same26,
    p.fading10 as pair_fading10,
    p.fading30 as pair_fading30,
    p.fading90 as pair_fading90,
    p.gap_days / nullif(p.gaps, 0) as pair_gap,
    sqrt(abs(p.gap_squares / nullif(p.gaps, 0) - pair_gap * pair_gap)) as pair_gap_spread,
    p.days_since / pair_gap as pair_due,
    p.newest_items * p.days26 / nullif(p.items, 0) as pair_newest_items,
    p.fading30 / nullif(c.fading30, 0) as pair_share,
    -- the customer: comes how often, buys how much, has been here this week already?
    c.days_left as days_left,
    c.days_since as customer_days_since,
    c.visits4 as customer_visits4,
    c.visits13 as customer_visits13,
    c.same4 as customer_same4,
    c.fading10 as customer_fading10,
    c.gap_days / nullif(c.gaps, 0) as customer_gap,
    sqrt(abs(c.gap_squares / nullif(c.gaps, 0) - customer_gap * customer_gap)) as customer_gap_spread,
    c.days_since / customer_gap as customer_due,
    c.products4 / nullif(c.visits4, 0) as customer_basket4,
    c.products13 / nullif(c.visits13, 0) as customer_basket13,
    c.products_this_week as customer_products_this_week,
    c.fresh8 as customer_fresh8,
    c.weekday as customer_weekday,
    -- the product: on the rise, or out of stock?
    o.sales1 as product_sales1,
    o.sales4 as product_sales4,
    4 * o.sales1 / nullif(o.sales4, 0) as product_trend1,
    2 * o.sales4 / nullif(o.sales8, 0) as product_trend4,
    o.sales4 / nullif(o.customers4, 0) as product_repeats,
    o.fresh4 as product_fresh4,
    5 * o.sales_now / nullif(o.sales_usual, 0) as product_now
from request
left join pairs p on p.customer_id = request.customer_id and p.product_id = request.product_id
left join visits c on c.customer_id = request.customer_id
left join sales o on o.product_id = request.product_id
