-- One row in, one row out: what is known of a song is how it sounds.
-- What a request leaves out is answered as for a typical song: the medians of the 2,222 other songs.
select
    danceability,
    energy,
    speechiness,
    acousticness,
    valence,
    loudness,
    coalesce(instrumentalness, 0.00166) as instrumentalness,
    coalesce(liveness, 0.1185) as liveness,
    -- Mixes of 25 minutes are no longer songs than songs of 10.
    least(coalesce(duration, 225000), 600000) / 60000.0 as minutes,
    tempo,
    -- The tempo is measured in one octave or the other: 95 and 190 beats a minute are the same song.
    case when tempo >= 135 then tempo / 2 else tempo end as beat,
    abs(beat - 95) as off_the_beat,
    -- A drum machine is set to a whole number of beats a minute; people who play are not.
    abs(tempo - round(tempo)) as off_the_grid
from request
