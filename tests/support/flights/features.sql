-- One row in, one row out: what is known about a flight when it is scheduled.
-- The look-up is joined by key; every flight has at most one holiday.
select
    airline,
    destination,
    coalesce(flight, '?') as flight,
    flight_type = 'I' as international,
    hour(scheduled_at) as hour,
    hour(scheduled_at) * 60 + minute(scheduled_at) as minute_of_day,
    isodow(scheduled_at) as weekday,
    month(scheduled_at) as month,
    day(scheduled_at) as day_of_month,
    case when hour between 5 and 11 then 'morning'
         when hour between 12 and 18 then 'afternoon'
         else 'night' end as period_of_day,
    strftime(scheduled_at, '%m-%d') >= '12-15'
        or strftime(scheduled_at, '%m-%d') <= '03-03'
        or strftime(scheduled_at, '%m-%d') between '07-15' and '07-31'
        or strftime(scheduled_at, '%m-%d') between '09-11' and '09-30' as high_season,
    h.day is not null as holiday
from request
left join holidays h on h.day = cast(scheduled_at as date)
