//! A send that outlives its app: when the app hangs up, what Meta answers still counts.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::body::ResponseBody;
use crate::error::ProxyError;

type Answer = Result<Response<ResponseBody>, ProxyError>;

/// A future that, if it is dropped before its end, runs on as a task. If the app hung up before its request was whole, it
/// fails at once there, and nothing goes out; else it ends with the verdict, at the latest with upstream's time-outs.
pub(super) struct Detaching {
    sending: Option<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    tasks: TaskTracker,
    /// Whoever waits for the tasks waits for those to come, too: over HTTP/2 a send outlives its connection for a moment,
    /// before it is dropped and becomes one.
    _token: TaskTrackerToken,
}

impl Detaching {
    pub(super) fn new(sending: impl Future<Output = Answer> + Send + 'static, tasks: TaskTracker) -> Self {
        let token = tasks.token();
        Self { sending: Some(Box::pin(sending)), tasks, _token: token }
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
        // Outside a runtime nothing can go on.
        if let (Some(sending), Ok(runtime)) = (self.sending.take(), Handle::try_current()) {
            self.tasks.spawn_on(sending, &runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
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
        );
        tasks.close();
        assert!(tasks.wait().now_or_never().is_none(), "the app may hang up yet");
        drop(sending);
        assert!(tasks.wait().now_or_never().is_none(), "it runs on");
        answer.send(()).unwrap();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn what_panicked_is_not_polled_again() {
        let (tasks, polls) = (TaskTracker::new(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&polls);
        let sending = std::future::poll_fn(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            panic!("a fault inside")
        });
        let mut sending = Detaching::new(sending, tasks.clone());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(catch_unwind(AssertUnwindSafe(|| sending.poll_unpin(&mut cx))).is_err());
        drop(sending);
        tasks.close();
        tasks.wait().await;
        assert_eq!(polls.load(Ordering::Relaxed), 1);
    }
}
