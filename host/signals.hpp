#pragma once

namespace l2o::host {

/// From now on SIGINT, SIGTERM and SIGHUP (a closed terminal; not if it is ignored, as under nohup) ask
/// running work to stop: cancel_flag() is set, work in hand is saved, Error(kInterrupted)
/// follows. A further signal, half a second later or more, ends the program at once.
void stop_on_signals();

/// From now on a crash names the plugin that it happened in, before it ends the program by its signal. Not
/// with AddressSanitizer, which tells more.
void tell_of_crashes();

/// From now on exit(), quick_exit(), _exit() and _Exit() end the program with ExitCode::kPlugin and name the
/// plugin that called it, until leave(); with wants_json in a document of its own, too, if none was printed,
/// as is what tell_of_crashes() tells.
void tell_of_ends(bool wants_json);
/// What is left to do is to return from main().
void leave();

/// From now on a pipe that nobody reads any more fails the write and does not end the program: a training
/// goes on without whoever followed its progress.
void outlive_readers();

/// Ends the program by SIGPIPE, as filters end, if stdout is a pipe that nobody reads any more.
void end_if_unread();

}  // namespace l2o::host
