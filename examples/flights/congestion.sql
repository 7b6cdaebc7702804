-- How many flights are scheduled in an hour of a weekday, on the mean of the last four weeks.
with daily as (
    select
        isodow(scheduled_at) as weekday,
        hour(scheduled_at) as hour,
        cast(departed_at as date) as day,
        count(*) as flights
    from departures
    group by all
)
select
    weekday,
    hour,
    cast(day + 1 as timestamp) as known_at,
    sum(flights) over (
        partition by weekday, hour order by day range between interval 27 days preceding and current row
    ) / 4.0 as flights
from daily
