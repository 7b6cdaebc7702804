-- One row in, one row out: what is known about a flight when it is scheduled.
-- Look-ups are joined by key; of a history (delays, congestion) only what was known by then is seen.
select
    request.airline,
    destination,
    coalesce(request.flight, '?') as flight,
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
    h.day is not null as holiday,
    eve.day is not null as day_before_holiday,
    past.day is not null as day_after_holiday,
    c.flights as congestion,
    a.late_1d as airline_late_1d,
    a.late_3d as airline_late_3d,
    a.late_7d as airline_late_7d,
    a.late_28d as airline_late_28d,
    f.late_28d as flight_late_28d
from request
left join holidays h on h.day = cast(scheduled_at as date)
left join holidays eve on eve.day = cast(scheduled_at as date) + 1
left join holidays past on past.day = cast(scheduled_at as date) - 1
left join congestion c on c.weekday = isodow(scheduled_at) and c.hour = hour(scheduled_at)
left join airline_delays a on a.airline = request.airline
left join flight_delays f on f.airline = request.airline and f.flight = request.flight
