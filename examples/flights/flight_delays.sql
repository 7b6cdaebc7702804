-- The share of late departures of one flight number over the last four weeks; known when the day is over.
with daily as (
    select
        airline,
        flight,
        cast(departed_at as date) as day,
        count(*) as flights,
        count(*) filter (date_diff('minute', scheduled_at, departed_at) > 15) as late
    from departures
    where flight is not null
    group by all
)
select
    airline,
    flight,
    cast(day + 1 as timestamp) as known_at,
    (sum(late) over month + 0.6) / (sum(flights) over month + 3) as late_28d
from daily
window month as (
    partition by airline, flight order by day range between interval 27 days preceding and current row
)
