-- The share of an airline's flights that left late, over the last days on which it flew; known when the day is over.
with daily as (
    select
        airline,
        cast(departed_at as date) as day,
        count(*) as flights,
        count(*) filter (date_diff('minute', scheduled_at, departed_at) > 15) as late
    from departures
    group by all
)
select
    airline,
    cast(day + 1 as timestamp) as known_at,
    (late + 1) / (flights + 5) as late_1d,
    (sum(late) over three + 1) / (sum(flights) over three + 5) as late_3d,
    (sum(late) over week + 1) / (sum(flights) over week + 5) as late_7d,
    (sum(late) over month + 1) / (sum(flights) over month + 5) as late_28d
from daily
window
    three as (partition by airline order by day range between interval 2 days preceding and current row),
    week as (partition by airline order by day range between interval 6 days preceding and current row),
    month as (partition by airline order by day range between interval 27 days preceding and current row)
