//! The agent's workloads on a simulated device: the real decisions and the real store, with time that passes at once.

mod bad_releases;
mod cut_points;
mod daily_life;
mod device;
