//! A send that outlives its app: when the app hangs up, what Meta answers still counts.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Response;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::body::ResponseBody;
use crate::error::ProxyError;

/// The most sends that run on without their app: whoever sends and hangs up, over and over, has no more of them.
pub(in crate::stack) const MOST: usize = 10_000;

type Answer = Result<Response<ResponseBody>, ProxyError>;

/// A future that, if it is dropped before its end, runs on as a task. If the app hung up before its request was whole, it
/// fails at once there, and nothing goes out; else it ends with the verdict, at the latest with upstream's time-outs.
pub(in crate::stack) struct Detaching {
    sending: Option<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    /// Whoever waits for the tasks waits for those to come, too: over HTTP/2 a send outlives its connection for a moment,
    /// before it is dropped and becomes one.
    _token: TaskTrackerToken,
}

impl Detaching {
    pub(in crate::stack) fn new(
        sending: impl Future<Output = Answer> + Send + 'static,
        tasks: TaskTracker,
        places: Arc<Semaphore>,
    ) -> Self {
        let token = tasks.token();
        Self { sending: Some(Box::pin(sending)), places, tasks, _token: token }
    }
}

impl Future for Detaching {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        // Taken out, because a future that panics must not be polled again.
        let Some(mut sending) = self.sending.take() else { return Poll::Pending };
        let answer = sending.as_mut().poll(cx);
        if answer.is_pending() {
            self.sending = Some(sending);
        }
        answer
    }
}

impl Drop for Detaching {
    fn drop(&mut self) {
        let Some(sending) = self.sending.take() else { return };
        // Outside a runtime nothing can go on, and without a place nothing may: then its permit is abandoned.
        if let (Ok(runtime), Ok(place)) =
            (Handle::try_current(), Arc::clone(&self.places).try_acquire_owned())
        {
            let sending = async move {
                drop(sending.await);
                drop(place);
            };
            self.tasks.spawn_on(sending, &runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_send_is_waited_for_before_and_after_its_app_hangs_up() {
        let (tasks, (answer, answered)) = (TaskTracker::new(), oneshot::channel::<()>());
        let sending = Detaching::new(
            async move {
                answered.await.unwrap();
                Ok(Response::new(ResponseBody::full("")))
            },
            tasks.clone(),
            Arc::new(Semaphore::new(1)),
        );
        tasks.close();
        assert!(tasks.wait().now_or_never().is_none(), "the app may hang up yet");
        drop(sending);
        assert!(tasks.wait().now_or_never().is_none(), "it runs on");
        answer.send(()).unwrap();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn no_more_run_on_than_there_are_places() {
        let (tasks, places) = (TaskTracker::new(), Arc::new(Semaphore::new(1)));
        for _ in 0..3 {
            drop(Detaching::new(std::future::pending(), tasks.clone(), Arc::clone(&places)));
        }
        assert_eq!(tasks.len(), 1);
    }

    #[tokio::test]
    async fn what_panicked_is_not_polled_again() {
        let (tasks, polls) = (TaskTracker::new(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&polls);
        let sending = std::future::poll_fn(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            panic!("a fault inside")
        });
        let mut sending = Detaching::new(sending, tasks.clone(), Arc::new(Semaphore::new(1)));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(catch_unwind(AssertUnwindSafe(|| sending.poll_unpin(&mut cx))).is_err());
        drop(sending);
        tasks.close();
        tasks.wait().await;
        assert_eq!(polls.load(Ordering::Relaxed), 1);
    }
}
